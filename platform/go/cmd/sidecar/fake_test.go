package main

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// fakeBroker is a message broker in memory, with queues whose routing key is their name. It is also the connection
// to itself; drop breaks it, and the next dial mends it.
type fakeBroker struct {
	mu        sync.Mutex
	queues    map[string]*fakeQueue
	closed    chan struct{}
	away      bool // dialing fails
	published []amqp.Publishing
	attempts  chan string // routing key of each publication
	max       int         // bytes of the largest message that it takes, if not 0
	consumed  chan string // queue of each Consume
}

type fakeQueue struct {
	ready     []amqp.Delivery
	consumers []*fakeConsumer
	most      int // consumers at the same time, so far
}

func newFakeBroker() *fakeBroker {
	return &fakeBroker{queues: map[string]*fakeQueue{}, closed: make(chan struct{}), attempts: make(chan string, 1000), consumed: make(chan string, 1000)}
}

func (f *fakeBroker) dial(context.Context) (broker, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return nil, errors.New("connection refused")
	}
	select {
	case <-f.closed:
		f.closed = make(chan struct{})
	default:
	}
	return &fakeConnection{f, f.closed}, nil
}

// drop breaks the connection: what was not acknowledged goes back to the queues.
func (f *fakeBroker) drop() {
	f.mu.Lock()
	var all []*fakeConsumer
	for _, q := range f.queues {
		all = append(all, q.consumers...)
	}
	close(f.closed)
	f.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

func (f *fakeBroker) queue(name string) *fakeQueue {
	f.mu.Lock()
	defer f.mu.Unlock()
	q := f.queues[name]
	if q == nil {
		q = &fakeQueue{}
	}
	copied := *q
	copied.ready = slices.Clone(q.ready)
	return &copied
}

// push delivers everything that is ready, round robin. f.mu is held.
func (q *fakeQueue) push() {
	for len(q.ready) > 0 && len(q.consumers) > 0 {
		c := q.consumers[0]
		q.consumers = append(q.consumers[1:], c)
		d := q.ready[0]
		q.ready = q.ready[1:]
		c.next++
		d.DeliveryTag, d.Acknowledger = c.next, c
		c.unacked[c.next] = d
		c.deliveries <- d
	}
}

type fakeConnection struct {
	*fakeBroker
	ended chan struct{}
}

func (f *fakeConnection) Closed() <-chan struct{} { return f.ended }
func (f *fakeConnection) Close()                  {}

func (f *fakeConnection) Declare(queue, _ string, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.queues[queue] == nil {
		f.queues[queue] = &fakeQueue{}
	}
	return nil
}

func (f *fakeConnection) Delete(queue string) error {
	f.mu.Lock()
	var consumers []*fakeConsumer
	if q := f.queues[queue]; q != nil {
		consumers = slices.Clone(q.consumers)
	}
	delete(f.queues, queue)
	f.mu.Unlock()
	for _, c := range consumers {
		c.Cancel() // the broker tells them
	}
	return nil
}

func (f *fakeConnection) Publish(_ context.Context, key string, m amqp.Publishing) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts <- key
	select {
	case <-f.ended:
		return errLost
	default:
	}
	if f.max > 0 && len(m.Body) > f.max {
		return errRefused
	}
	q := f.queues[key]
	if q == nil {
		return errNoRoute
	}
	f.published = append(f.published, m)
	q.ready = append(q.ready, amqp.Delivery{Type: m.Type, CorrelationId: m.CorrelationId, Headers: m.Headers, Body: m.Body})
	q.push()
	return nil
}

func (f *fakeConnection) Consume(queue string, _ int) (consumer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.ended:
		return nil, errLost
	default:
	}
	q := f.queues[queue]
	if q == nil {
		return nil, errors.New("no queue " + queue)
	}
	c := &fakeConsumer{broker: f.fakeBroker, queue: q, deliveries: make(chan amqp.Delivery, 1000), unacked: map[uint64]amqp.Delivery{}}
	q.consumers = append(q.consumers, c)
	q.most = max(q.most, len(q.consumers))
	q.push()
	f.consumed <- queue
	return c, nil
}

type fakeConsumer struct {
	broker     *fakeBroker
	queue      *fakeQueue
	deliveries chan amqp.Delivery
	next       uint64
	unacked    map[uint64]amqp.Delivery
	cancelled  bool
}

func (c *fakeConsumer) Deliveries() <-chan amqp.Delivery { return c.deliveries }

func (c *fakeConsumer) Cancel() {
	c.broker.mu.Lock()
	defer c.broker.mu.Unlock()
	if !c.cancelled {
		c.cancelled = true
		c.queue.consumers = slices.DeleteFunc(c.queue.consumers, func(other *fakeConsumer) bool { return other == c })
		close(c.deliveries)
	}
}

func (c *fakeConsumer) Close() {
	c.Cancel()
	c.broker.mu.Lock()
	defer c.broker.mu.Unlock()
	for tag := uint64(1); tag <= c.next; tag++ {
		c.requeue(tag)
	}
	c.queue.push()
}

func (c *fakeConsumer) requeue(tag uint64) {
	if d, ok := c.unacked[tag]; ok {
		delete(c.unacked, tag)
		d.Redelivered = true
		c.queue.ready = append(c.queue.ready, d)
	}
}

// Ack and the following make it an amqp.Acknowledger.
func (c *fakeConsumer) Ack(tag uint64, _ bool) error {
	c.broker.mu.Lock()
	defer c.broker.mu.Unlock()
	if _, ok := c.unacked[tag]; !ok {
		return errors.New("unknown delivery tag")
	}
	delete(c.unacked, tag)
	return nil
}

func (c *fakeConsumer) Nack(tag uint64, _, requeue bool) error {
	c.broker.mu.Lock()
	defer c.broker.mu.Unlock()
	if requeue {
		c.requeue(tag)
		c.queue.push()
	}
	delete(c.unacked, tag)
	return nil
}

func (c *fakeConsumer) Reject(tag uint64, requeue bool) error { return c.Nack(tag, false, requeue) }

// put publishes a message as another sidecar would.
func (f *fakeBroker) put(t *testing.T, queue, kind string, m proto.Message) {
	t.Helper()
	p, err := encode(kind, "", rpc.NewTrace(), m)
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.dial(t.Context())
	if err == nil {
		err = b.Publish(t.Context(), queue, p)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// started is a sidecar that serves.
type started struct {
	*grpc.ClientConn
	server *server
	ended  chan error
	cancel context.CancelFunc
}

func startSidecar(t *testing.T, f *fakeBroker) *started {
	t.Helper()
	return serveSidecar(t, f.dial)
}

func serveSidecar(t *testing.T, dial func(context.Context) (broker, error)) *started {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := newServer(dial)
	r := &started{server: s, ended: make(chan error, 1), cancel: cancel}
	go func() { r.ended <- s.serve(ctx, listener) }()
	if r.ClientConn, err = rpc.Dial(listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		r.ClientConn.Close()
	})
	return r
}
