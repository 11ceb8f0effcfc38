package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// held is a message that was delivered, but is not acknowledged yet: the services have it, or are about to get it.
type held struct {
	correlation string
	body        digest
	from        consumer       // of the latest delivery
	delivery    *amqp.Delivery // the latest: the broker delivers again when the connection was lost
	refused     bool           // by the first service: the next delivery is handed over anew
}

type digest [sha256.Size]byte

// take decides what becomes of a delivery. It returns the message if that is to be handed over, otherwise nil: one
// that the chain has already only gets its new delivery, and one that comes while the job ends goes back.
func (j *job) take(ctx context.Context, from consumer, d *amqp.Delivery) (*held, *pb.MicroserviceCommunication) {
	message, err := chainMessage(d)
	if err != nil {
		slog.ErrorContext(ctx, "message rejected", "error", err)
		logged(ctx, d.Reject(false)) // to the dead letters
		return nil, nil
	}
	m := &held{correlation: message.GetRequestMetadata().GetCorrelationId(), body: sha256.Sum256(d.Body), from: from, delivery: d}
	switch j.hold(m) {
	case refused:
		logged(ctx, d.Nack(false, true))
		return nil, nil
	case known:
		slog.InfoContext(ctx, "message delivered again, the chain has it", "correlation", m.correlation)
		return nil, nil
	default:
		return m, message
	}
}

type taking int

const (
	taken   taking = iota // to be handed over
	known                 // handed over before; only the delivery is new
	refused               // the job is ending
)

// hold adds a message to those held.
func (j *job) hold(m *held) taking {
	j.mu.Lock()
	defer j.mu.Unlock()
	if m.delivery.Redelivered {
		// Data providers may send the same bytes, so that each delivery belongs to one message only.
		i := slices.IndexFunc(j.held, func(h *held) bool { return h.body == m.body && h.from != m.from })
		switch {
		case i < 0:
		case j.held[i].refused:
			j.held = slices.Delete(j.held, i, i+1)
		default:
			j.held[i].from, j.held[i].delivery = m.from, m.delivery
			return known
		}
	}
	if j.ending {
		return refused
	}
	j.held = append(j.held, m)
	return taken
}

// putBack notes that the chain doesn't have the message. While the job goes on it stays unacknowledged, for the
// first service's next life; otherwise the queue gets it back, for the next Pod, unless its request is answered.
func (j *job) putBack(ctx context.Context, m *held) {
	j.mu.Lock()
	m.refused = true
	i := slices.Index(j.held, m)
	back := j.ending && i >= 0 && m.correlation != j.answered
	if back {
		j.held = slices.Delete(j.held, i, i+1)
	}
	j.mu.Unlock()
	if back {
		logged(ctx, m.delivery.Nack(false, true))
	}
}

// acknowledge takes the messages of an answered request out of the queue.
func (j *job) acknowledge(ctx context.Context, correlation string) {
	j.mu.Lock()
	var answered, others []*held
	for _, m := range j.held {
		if m.correlation == correlation {
			answered = append(answered, m)
		} else {
			others = append(others, m)
		}
	}
	j.held = others
	queue := j.queue
	j.mu.Unlock()
	var lost []*held
	for _, m := range answered {
		if err := m.delivery.Ack(false); err != nil {
			lost = append(lost, m)
		}
	}
	if len(lost) > 0 {
		j.acknowledgeAgain(ctx, queue, lost)
	}
}

// againTimeout bounds the wait for deliveries that the broker has to repeat; it does that at once, or never.
const againTimeout = 2 * time.Second

// acknowledgeAgain acknowledges messages whose connection was lost after they were delivered, so that the broker
// has put them back into the queue. Left there, they would be what the next Pod answers in place of its own.
func (j *job) acknowledgeAgain(ctx context.Context, queue string, lost []*held) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), againTimeout)
	defer cancel()
	b, err := j.server.link.get(ctx)
	if err != nil {
		slog.WarnContext(ctx, "answered messages stay in the queue", "error", err)
		return
	}
	c, err := b.Consume(queue, unlimited)
	if err != nil {
		slog.WarnContext(ctx, "answered messages stay in the queue", "error", err)
		return
	}
	defer c.Close() // what isn't acknowledged goes back
	for len(lost) > 0 {
		select {
		case d, open := <-c.Deliveries():
			if !open {
				return
			}
			body := digest(sha256.Sum256(d.Body))
			i := slices.IndexFunc(lost, func(m *held) bool { return m.body == body })
			if i >= 0 {
				logged(ctx, d.Ack(false))
				lost = slices.Delete(lost, i, i+1)
			}
		case <-ctx.Done():
			slog.WarnContext(ctx, "answered messages did not come again", "messages", len(lost))
			return
		}
	}
}

// logged is for acknowledgements: when one fails the connection is lost, and the message comes again by itself.
func logged(ctx context.Context, err error) {
	if err != nil {
		slog.DebugContext(ctx, "not acknowledged", "error", err)
	}
}
