package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	exchange = "topic_exchange"
	// deadLetters is where the broker puts what consumers reject. It need not exist; messages are gone then.
	deadLetters = "dead-letter-exchange"

	heartbeat   = 10 * time.Second // a broker that went away silently is noticed within two
	dialTimeout = 5 * time.Second  // for one attempt
)

// dialAMQP makes the function that connects to the broker at address.
func dialAMQP(address, user, password string) func(context.Context) (broker, error) {
	return func(ctx context.Context) (broker, error) {
		conn, err := amqp.DialConfig("amqp://"+address, amqp.Config{
			// Not in the URL: a password may hold anything.
			SASL:       []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}},
			Vhost:      "/",
			Heartbeat:  heartbeat,
			Properties: amqp.Table{"connection_name": "sidecar", "product": "dynsandbox platform"},
			Dial: func(network, address string) (net.Conn, error) {
				conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
				if err != nil {
					return nil, err
				}
				// The client lifts it after the handshake.
				return conn, conn.SetDeadline(time.Now().Add(dialTimeout))
			},
		})
		if err != nil {
			return nil, err
		}
		b := &amqpBroker{conn: conn, closed: make(chan struct{})}
		go func() { _, _ = b.openPublisher() }() // for the first message; one that fails is opened again
		closes := conn.NotifyClose(make(chan *amqp.Error, 1))
		go func() {
			<-closes
			close(b.closed)
		}()
		return b, nil
	}
}

type amqpBroker struct {
	conn   *amqp.Connection
	closed chan struct{}

	mu        sync.Mutex
	publisher *publisher
}

var _ broker = (*amqpBroker)(nil)

func (b *amqpBroker) Closed() <-chan struct{} { return b.closed }

func (b *amqpBroker) Close() { _ = b.conn.Close() }

// onChannel calls do with a channel of its own: the broker closes the channel of a call that it refuses.
func (b *amqpBroker) onChannel(do func(*amqp.Channel) error) error {
	channel, err := b.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	defer func() { go channel.Close() }() // nobody has to wait for the broker's consent
	return do(channel)
}

// Declare waits for the broker once: it answers the last of the three, and refuses that too when it refuses one before.
func (b *amqpBroker) Declare(queue, key string, autoDelete bool) error {
	return b.onChannel(func(channel *amqp.Channel) error {
		err := channel.ExchangeDeclare(exchange, amqp.ExchangeTopic, true, false, false, true, nil)
		if err == nil {
			arguments := amqp.Table{"x-dead-letter-exchange": deadLetters}
			_, err = channel.QueueDeclare(queue, true, autoDelete, false, true, arguments)
		}
		if err == nil {
			err = channel.QueueBind(queue, key, exchange, false, nil)
		}
		if err != nil {
			return fmt.Errorf("declare queue %s and bind it to %s: %w", queue, exchange, err)
		}
		return nil
	})
}

func (b *amqpBroker) Delete(queue string) error {
	return b.onChannel(func(channel *amqp.Channel) error {
		if _, err := channel.QueueDelete(queue, false, false, false); err != nil && !notFound(err) {
			return fmt.Errorf("delete queue %s: %w", queue, err)
		}
		return nil
	})
}

func notFound(err error) bool {
	var e *amqp.Error
	return errors.As(err, &e) && e.Code == amqp.NotFound
}

func (b *amqpBroker) Publish(ctx context.Context, key string, message amqp.Publishing) error {
	p, err := b.openPublisher()
	if err != nil {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return p.publish(ctx, key, message)
}

// openPublisher is the connection's publishing channel, a new one if the broker closed the last.
func (b *amqpBroker) openPublisher() (*publisher, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.publisher != nil && !b.publisher.ended() {
		return b.publisher, nil
	}
	channel, err := b.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	if err := channel.Confirm(false); err != nil {
		return nil, fmt.Errorf("switch on confirms: %w", err)
	}
	b.publisher = newPublisher(channel)
	return b.publisher, nil
}

func (b *amqpBroker) Consume(queue string, prefetch int) (consumer, error) {
	channel, err := b.conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open channel: %w", err)
	}
	if prefetch != unlimited {
		if err := channel.Qos(prefetch, 0, false); err != nil {
			_ = channel.Close()
			return nil, fmt.Errorf("set prefetch: %w", err)
		}
	}
	deliveries, err := channel.Consume(queue, consumerTag, false, false, false, false, nil)
	if err != nil {
		_ = channel.Close()
		return nil, fmt.Errorf("consume %s: %w", queue, err)
	}
	return &amqpConsumer{channel, deliveries}, nil
}

// consumerTag names the only consumer of its channel.
const consumerTag = "sidecar"

type amqpConsumer struct {
	channel    *amqp.Channel
	deliveries <-chan amqp.Delivery
}

func (c *amqpConsumer) Deliveries() <-chan amqp.Delivery { return c.deliveries }
func (c *amqpConsumer) Cancel()                          { _ = c.channel.Cancel(consumerTag, false) }
func (c *amqpConsumer) Close()                           { _ = c.channel.Close() }
