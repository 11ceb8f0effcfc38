package main

import (
	"log/slog"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// streamPrefetch is how many messages are on their way to a main container. It takes them as fast as they come.
const streamPrefetch = 64

// Consume hands a main container what arrives in its queue, until one of the two, or the connection to the broker,
// goes away. A message is acknowledged when it has been handed to the stream; the others stay in the queue.
func (s *server) Consume(in *pb.ConsumeRequest, stream grpc.ServerStreamingServer[pb.SideCarMessage]) error {
	ctx := stream.Context()
	b, err := s.link.get(ctx)
	if err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	s.replaceStream(nil) // before the next, so that there is never a moment with two
	c, err := b.Consume(in.GetQueueName(), streamPrefetch)
	if err != nil {
		return status.Error(codes.FailedPrecondition, err.Error())
	}
	s.replaceStream(c)
	defer c.Close()
	slog.InfoContext(ctx, "consuming", "queue", in.GetQueueName())
	// Headers go out with the first message otherwise. Now a client can tell by them that the queue is consumed; of
	// ours only the tests ask.
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		select {
		case d, open := <-c.Deliveries():
			if !open {
				return status.Errorf(codes.Unavailable, "consumer of %s ended", in.GetQueueName())
			}
			if err := handTo(stream, &d); err != nil {
				return err
			}
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-s.stopped:
			return status.Error(codes.Unavailable, errEnding.Error())
		}
	}
}

func handTo(stream grpc.ServerStreamingServer[pb.SideCarMessage], d *amqp.Delivery) error {
	message, err := envelope(d)
	if err != nil {
		slog.ErrorContext(stream.Context(), "message rejected", "error", err)
		return acknowledged(d.Reject(false)) // to the dead letters
	}
	ctx, span := received(stream.Context(), message.GetTraces(), d)
	passOn(ctx, message.GetTraces())
	err = stream.Send(message)
	span.End(err)
	if err != nil {
		return err
	}
	return acknowledged(d.Ack(false))
}

func acknowledged(err error) error {
	if err != nil {
		return status.Errorf(codes.Unavailable, "acknowledge: %v", err)
	}
	return nil
}

// replaceStream closes the former consumer, whose messages go back to the queue.
func (s *server) replaceStream(c consumer) {
	s.mu.Lock()
	former := s.stream
	s.stream = c
	s.mu.Unlock()
	if former != nil {
		former.Close()
	}
}
