package broker

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/go-connections/nat"
)

// RabbitMQ checks a login by hashing the salt that it stored, then the password given.
func TestPasswordHash(t *testing.T) {
	t.Parallel()
	const password = "correct horse"
	stored, err := base64.StdEncoding.DecodeString(passwordHash(password))
	if err != nil || len(stored) != 4+sha256.Size {
		t.Fatalf("got %d bytes, %v, want a salt of 4 and a SHA-256", len(stored), err)
	}
	sum := sha256.Sum256(append(slices.Clone(stored[:4]), password...))
	if !slices.Equal(stored[4:], sum[:]) {
		t.Error("the hash isn't that of salt and password")
	}
	if other, _ := base64.StdEncoding.DecodeString(passwordHash("another")); slices.Equal(other[:4], stored[:4]) {
		t.Error("two passwords have the same salt")
	}
}

func TestDefinitions(t *testing.T) {
	t.Parallel()
	var got struct {
		Users       []struct{ Name, Tags string }
		Permissions []struct{ User, Vhost, Configure, Write, Read string }
		Exchanges   []struct {
			Name, Type string
			Durable    bool
		}
		Queues []struct{ Name string }
	}
	if err := json.Unmarshal(definitions("p"), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Users) != 1 || got.Users[0].Name != User || got.Users[0].Tags != "" {
		t.Errorf("users: got %+v, want %s alone, without tags", got.Users, User)
	}
	if p := got.Permissions[0]; p.User != User || p.Vhost != "/" || p.Configure+p.Write+p.Read != ".*.*.*" {
		t.Errorf("permissions: got %+v", p)
	}
	types := map[string]string{}
	for _, e := range got.Exchanges {
		if !e.Durable {
			t.Errorf("exchange %s isn't durable: a sidecar's declaration of it would be refused", e.Name)
		}
		types[e.Name] = e.Type
	}
	if types["topic_exchange"] != "topic" || types["dead-letter-exchange"] != "fanout" || got.Queues[0].Name != "dead_letter" {
		t.Errorf("exchanges %v, queues %v", types, got.Queues)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	base := Config{Sandbox: "a", Image: "x", Network: "n", Address: netip.MustParseAddr("10.213.7.10"), Password: "p"}
	want := base.fingerprint("id")
	if got := base.fingerprint("id"); got != want {
		t.Error("the same broker has two fingerprints: it would be replaced at every start")
	}
	for name, other := range map[string]string{
		"image":    base.fingerprint("other"),
		"password": func() string { c := base; c.Password = "q"; return c.fingerprint("id") }(),
		"address":  func() string { c := base; c.Address = c.Address.Next(); return c.fingerprint("id") }(),
		"network":  func() string { c := base; c.Network = "m"; return c.fingerprint("id") }(),
	} {
		if other == want {
			t.Errorf("another %s isn't noticed", name)
		}
	}
}

// Only a port that is published on the loopback counts.
func TestHostPort(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		bindings []nat.PortBinding
		want     int
	}{
		"loopback":        {[]nat.PortBinding{{HostIP: "127.0.0.1", HostPort: "32768"}}, 32768},
		"every interface": {[]nat.PortBinding{{HostIP: "0.0.0.0", HostPort: "32768"}}, 0},
		"none":            {nil, 0},
	} {
		c := container.InspectResponse{NetworkSettings: &container.NetworkSettings{}}
		c.NetworkSettings.Ports = nat.PortMap{amqpPort: tc.bindings}
		if got := hostPort(c); got != tc.want {
			t.Errorf("%s: got %d, want %d", name, got, tc.want)
		}
	}
}

func TestImagePath(t *testing.T) {
	t.Parallel()
	if got := imagePath([]string{"HOME=/x", "PATH=/opt/rabbitmq/sbin:/bin"}); got != "/usr/lib/rabbitmq/bin:/opt/rabbitmq/sbin:/bin" {
		t.Errorf("got %s", got)
	}
	if got := imagePath(nil); !strings.HasPrefix(got, "/usr/lib/rabbitmq/bin:") || !strings.HasSuffix(got, ":/bin") {
		t.Errorf("an image without one: got %s", got)
	}
}
