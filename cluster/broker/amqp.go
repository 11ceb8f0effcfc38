package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// dial logs in at the loopback.
func dial(ctx context.Context, hostPort int, password string) (*amqp.Connection, error) {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(hostPort))
	conn, err := amqp.DialConfig("amqp://"+address, amqp.Config{
		Vhost:     "/",
		SASL:      []amqp.Authentication{&amqp.PlainAuth{Username: User, Password: password}},
		Heartbeat: 10 * time.Second,
		Locale:    "en_US",
		Dial: func(network, addr string) (net.Conn, error) {
			d := net.Dialer{Timeout: 2 * time.Second}
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			// The engine's proxy accepts before the broker does: without a deadline the handshake hangs.
			return c, c.SetDeadline(time.Now().Add(2 * time.Second))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("log in to the broker: %w", err)
	}
	return conn, nil
}

func login(ctx context.Context, hostPort int, password string) error {
	conn, err := dial(ctx, hostPort, password)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Consumers returns how many consumers each of the queues has now; a queue that doesn't exist isn't in the map.
// The platform is ready when each of its queues has one: two divide the messages between them.
func Consumers(ctx context.Context, hostPort int, password string, queues ...string) (map[string]int, error) {
	conn, err := dial(ctx, hostPort, password)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	counts := map[string]int{}
	for _, q := range queues {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		// A channel of its own for each: the broker closes it when there is no such queue.
		ch, err := conn.Channel()
		if err != nil {
			return nil, fmt.Errorf("open channel to the broker: %w", err)
		}
		state, err := ch.QueueDeclarePassive(q, false, false, false, false, nil)
		var missing *amqp.Error
		switch {
		case err == nil:
			counts[q] = state.Consumers
			if err := ch.Close(); err != nil {
				return nil, fmt.Errorf("ask for queue %s: %w", q, err)
			}
		case errors.As(err, &missing) && missing.Code == amqp.NotFound:
		default:
			return nil, fmt.Errorf("ask for queue %s: %w", q, err)
		}
	}
	return counts, nil
}
