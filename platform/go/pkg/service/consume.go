package service

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// reconnectPause is how long a service waits before it asks its sidecar again, after the stream between them broke.
const reconnectPause = 200 * time.Millisecond

// handlerTimeout is what handlers get to end by themselves, when the queue is consumed no more.
const handlerTimeout = 500 * time.Millisecond

// Handler handles one message. Its error is logged: the queue has no other way to hear of it, so a handler that
// owes someone an answer has to send one itself. ctx carries the message's trace, or a new one.
type Handler func(ctx context.Context, message *pb.SideCarMessage) error

// Handlers are a service's handlers by message type.
type Handlers map[string]Handler

// On makes a [Handler] of a function that takes the decoded message.
func On[M any, P interface {
	*M
	proto.Message
}](handle func(ctx context.Context, message P) error) Handler {
	return func(ctx context.Context, envelope *pb.SideCarMessage) error {
		message := P(new(M))
		if err := envelope.GetBody().UnmarshalTo(message); err != nil {
			return fmt.Errorf("decode %s: %w", envelope.GetType(), err)
		}
		return handle(ctx, message)
	}
}

// handling are the messages that are being handled, and their context.
type handling struct {
	sync.WaitGroup

	ctx context.Context
}

// consume declares the queue and handles its messages until ctx ends, and lets those that are being handled then come to
// their end. When the sidecar goes away it waits for it and begins again. declared is closed when the queue exists for the
// first time.
func (s *Service) consume(ctx context.Context, declared chan<- struct{}) error {
	var once sync.Once
	handlers, cancel := context.WithCancel(context.WithoutCancel(ctx))
	running := &handling{ctx: handlers}
	defer func() {
		defer time.AfterFunc(handlerTimeout, cancel).Stop()
		running.Wait()
		cancel()
	}()
	for {
		err := s.consumeStream(ctx, running, func() { once.Do(func() { close(declared) }) })
		s.consuming.set(false)
		if ctx.Err() != nil {
			return nil
		}
		slog.WarnContext(ctx, "sidecar lost, connecting again", "error", err)
		select {
		case <-time.After(reconnectPause):
		case <-ctx.Done():
			return nil
		}
	}
}

// consumeStream handles messages until the stream breaks. Each message has a goroutine of its own, so that a slow
// one never holds up the next.
func (s *Service) consumeStream(ctx context.Context, running *handling, declared func()) error {
	if err := s.Sidecar.Serving(ctx); err != nil {
		return fmt.Errorf("wait for the sidecar: %w", err)
	}
	if _, err := s.Sidecar.InitRabbitMq(ctx, &pb.InitRequest{ServiceName: s.Queue, RoutingKey: s.Queue}); err != nil {
		return fmt.Errorf("declare queue %s: %w", s.Queue, err)
	}
	declared()
	stream, err := s.Sidecar.Consume(ctx, &pb.ConsumeRequest{QueueName: s.Queue, AutoAck: true})
	if err != nil {
		return fmt.Errorf("consume %s: %w", s.Queue, err)
	}
	s.consuming.set(true)
	for {
		message, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("consume %s: %w", s.Queue, err)
		}
		running.Go(func() { s.handle(running.ctx, message) })
	}
}

func (s *Service) handle(ctx context.Context, message *pb.SideCarMessage) {
	handler, ok := s.Handlers[message.GetType()]
	if !ok {
		slog.WarnContext(ctx, "message of a type that this service doesn't handle", "type", message.GetType())
		return
	}
	if sent, ok := rpc.TraceOf(message.GetTraces()); ok {
		ctx = rpc.WithTrace(ctx, sent)
	}
	ctx, span := trace.Start(ctx, trace.Consumer, message.GetType(), trace.Queue(s.Queue))
	err := handler(ctx, message)
	span.End(err)
	if err != nil {
		slog.ErrorContext(ctx, "message not handled", "type", message.GetType(), "error", err)
	}
}
