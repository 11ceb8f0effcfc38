package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// publishing is what a [publisher] needs of an AMQP channel in confirm mode.
type publishing interface {
	GetNextPublishSeqNo() uint64
	PublishWithContext(ctx context.Context, exchange, key string, mandatory, immediate bool, message amqp.Publishing) error
	NotifyReturn(chan amqp.Return) chan amqp.Return
	NotifyPublish(chan amqp.Confirmation) chan amqp.Confirmation
	NotifyClose(chan *amqp.Error) chan *amqp.Error
	Close() error
}

// publisher publishes on one channel and learns from the broker what became of each message. A message that can't
// be routed is returned before it is confirmed. Both are read by one goroutine for the channel's whole life: a
// return that nobody reads would stop everything on the connection.
type publisher struct {
	channel publishing

	order sync.Mutex // keeps sequence numbers in step with publications; held while a message is written

	mu      sync.Mutex              // never held while anything waits: confirms that nobody takes are dropped
	waiting map[uint64]chan<- error // by sequence number; nil when the channel has ended
	reason  error                   // why it has
}

// newPublisher takes over a channel in confirm mode.
func newPublisher(channel publishing) *publisher {
	p := &publisher{channel: channel, waiting: map[uint64]chan<- error{}}
	// Unbuffered: a confirm is not received before the return in front of it has been dealt with.
	returns := channel.NotifyReturn(make(chan amqp.Return))
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation))
	closed := channel.NotifyClose(make(chan *amqp.Error, 1))
	go p.read(returns, confirms, closed)
	return p
}

// publish waits for the broker's answer, or for ctx.
func (p *publisher) publish(ctx context.Context, key string, message amqp.Publishing) error {
	outcome, err := p.begin(ctx, key, message)
	if err != nil {
		return err
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return fmt.Errorf("wait for the broker's confirmation: %w", ctx.Err())
	}
}

// begin publishes.
func (p *publisher) begin(ctx context.Context, key string, message amqp.Publishing) (<-chan error, error) {
	p.order.Lock()
	defer p.order.Unlock()
	sequence := p.channel.GetNextPublishSeqNo()
	outcome := make(chan error, 1)
	if err := p.await(sequence, outcome); err != nil {
		return nil, err
	}
	message.MessageId = strconv.FormatUint(sequence, 10) // by which a return is known
	if err := p.channel.PublishWithContext(ctx, exchange, key, true, false, message); err != nil {
		p.forget(sequence)
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	return outcome, nil
}

// await has the outcome of a publication told to waiter, or fails if the channel has ended.
func (p *publisher) await(sequence uint64, waiter chan<- error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		return p.reason
	}
	p.waiting[sequence] = waiter
	return nil
}

func (p *publisher) forget(sequence uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, sequence)
}

// read tells each publication's outcome until the channel ends.
func (p *publisher) read(returns <-chan amqp.Return, confirms <-chan amqp.Confirmation, closed <-chan *amqp.Error) {
	returned := map[string]error{}
	for returns != nil || confirms != nil {
		select {
		case r, open := <-returns:
			if !open {
				returns = nil
				continue
			}
			returned[r.MessageId] = fmt.Errorf("%w (%s)", errRefused, r.ReplyText)
			if r.ReplyCode == amqp.NoRoute {
				returned[r.MessageId] = errNoRoute
			}
		case c, open := <-confirms:
			if !open {
				confirms = nil
				continue
			}
			id := strconv.FormatUint(c.DeliveryTag, 10)
			err := returned[id]
			delete(returned, id)
			if !c.Ack {
				err = errNacked
			}
			p.settle(c.DeliveryTag, err)
		}
	}
	p.end(<-closed)
}

func (p *publisher) settle(sequence uint64, outcome error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if waiter, ok := p.waiting[sequence]; ok {
		delete(p.waiting, sequence)
		waiter <- outcome
	}
}

// end fails what waits. The broker closes a channel on which it was asked for something impossible: a message that
// is larger than it takes is refused that way.
func (p *publisher) end(reason *amqp.Error) {
	err := errLost
	var refused *amqp.Error
	if reason != nil {
		err = fmt.Errorf("%w: %w", errLost, reason)
		if errors.As(reason, &refused) && refused.Code == amqp.PreconditionFailed {
			err = fmt.Errorf("%w: %s", errRefused, refused.Reason)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, waiter := range p.waiting {
		waiter <- err
	}
	p.waiting, p.reason = nil, errLost
}

// ended says whether the channel can't be used any more.
func (p *publisher) ended() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting == nil
}
