package main

import (
	"context"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"
)

// What a publication can come to, beside success.
var (
	errNoRoute = errors.New("no such queue")
	errLost    = errors.New("connection to the broker lost")
	errNacked  = errors.New("the broker could not take it")
	errRefused = errors.New("the broker refused it")
)

// broker is one connection to the message broker. Its methods may be called at the same time.
type broker interface {
	// Declare makes sure that the queue exists and gets what is sent under the key.
	Declare(queue, key string, autoDelete bool) error
	// Delete removes the queue with what is in it. A queue that doesn't exist is no error.
	Delete(queue string) error
	// Publish returns nil when the broker has put the message into the queue bound to key, otherwise an error that
	// wraps one of the above. After errLost the message may have arrived nevertheless.
	Publish(ctx context.Context, key string, message amqp.Publishing) error
	// Consume begins to consume the queue, with acknowledgements. Prefetch limits the messages that are delivered
	// but not acknowledged; 0 is no limit.
	Consume(queue string, prefetch int) (consumer, error)
	// Closed is closed when the connection is.
	Closed() <-chan struct{}
	Close()
}

// consumer is a subscription to a queue.
type consumer interface {
	// Deliveries is closed after Cancel, Close, or the connection's end.
	Deliveries() <-chan amqp.Delivery
	// Cancel ends the subscription: when it returns, the broker delivers nothing more here. What was delivered can
	// still be acknowledged.
	Cancel()
	// Close also puts back into the queue what was delivered but not acknowledged.
	Close()
}
