package broker

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// User is the account that every sidecar has compiled in.
const User = "normal_user"

// definitions returns what the broker imports when it boots: the one user, its permissions, and the exchanges and
// the queue that DYNAMOS expects. The same password gives the same bytes, so that they tell whether a broker that
// stands was made from them.
func definitions(password string) []byte {
	type object map[string]any
	d := object{
		"users": []object{{
			"name": User, "tags": "", "password_hash": passwordHash(password),
			"hashing_algorithm": "rabbit_password_hashing_sha256",
		}},
		"vhosts":      []object{{"name": "/"}},
		"permissions": []object{{"user": User, "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}},
		"exchanges": []object{
			{"name": "topic_exchange", "vhost": "/", "type": "topic", "durable": true, "auto_delete": false, "internal": false, "arguments": object{}},
			{"name": "dead-letter-exchange", "vhost": "/", "type": "fanout", "durable": true, "auto_delete": false, "internal": false, "arguments": object{}},
		},
		"queues": []object{{
			"name": "dead_letter", "vhost": "/", "durable": true, "auto_delete": false,
			"arguments": object{"x-dead-letter-exchange": "dead-letter-exchange"},
		}},
		"bindings": []object{{
			"source": "dead-letter-exchange", "vhost": "/", "destination": "dead_letter", "destination_type": "queue",
			"routing_key": "", "arguments": object{},
		}},
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		panic(err) // maps of strings and booleans always encode
	}
	return out.Bytes()
}

// passwordHash is RabbitMQ's form of a stored password: base64 of a salt of 4 bytes and SHA-256(salt, password).
// The salt comes from the password: a random one would make another hash each time, and passwords of ours are
// generated, one per sandbox, so that equal ones don't meet.
func passwordHash(password string) string {
	mac := hmac.New(sha256.New, []byte("dynsandbox broker salt"))
	mac.Write([]byte(password))
	salt := mac.Sum(nil)[:4]
	sum := sha256.Sum256(append(append([]byte{}, salt...), password...))
	return base64.StdEncoding.EncodeToString(append(salt, sum[:]...))
}

// configuration is the broker's. Importing definitions takes no plugin, and keeps it from creating its guest user.
const configuration = `load_definitions = /etc/rabbitmq/definitions.json
log.console = true
log.console.level = warning
loopback_users.guest = true
`
