package main

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// handOver gives one message to the first service, when it is this one's turn. The call returns when the service,
// and mostly all of the chain, has handled it.
func (j *job) handOver(ctx context.Context, first *grpc.ClientConn, m *held, message *pb.MicroserviceCommunication) {
	j.turn.Lock()
	defer j.turn.Unlock()
	if j.isEnding() || ctx.Err() != nil {
		j.putBack(ctx, m)
		return
	}
	ctx, span := received(logging.WithCorrelation(ctx, m.correlation), message.GetTraces(), m.delivery)
	message.Traces = rpc.TracesOf(ctx)
	// A service that is gone is not waited for: when it comes back it asks for everything anew.
	_, err := pb.NewMicroserviceClient(first).SendData(ctx, message, grpc.WaitForReady(false))
	span.End(err)
	switch code := status.Code(err); {
	case code == codes.OK:
	case code == codes.Unavailable, code == codes.Canceled, code == codes.DeadlineExceeded, j.podIsEnding():
		// In a Pod that ends a chain may fail for that alone.
		slog.WarnContext(ctx, "message not taken by the chain", "error", err)
		j.putBack(ctx, m)
	default:
		slog.ErrorContext(ctx, "the chain failed", "error", err)
		j.fail(ctx, message, status.Convert(err).Message())
	}
}

// fail answers in place of a chain that can't. The chain is of no use any more.
func (j *job) fail(ctx context.Context, m *pb.MicroserviceCommunication, text string) {
	failed := &pb.MicroserviceCommunication{
		Type:            m.GetType(),
		RequestType:     m.GetRequestType(),
		Metadata:        map[string]string{"error": text},
		OriginalRequest: m.GetOriginalRequest(),
		RequestMetadata: m.GetRequestMetadata(),
		Traces:          m.GetTraces(),
	}
	if err := j.answer(ctx, failed); err != nil {
		slog.ErrorContext(ctx, "failure of the chain not sent", "error", err)
	}
	j.server.stop()
}

// stopAfterAnswer is how long after the answer the last service has to say that the chain is done. Some never say
// it; their Job would run until its deadline.
const stopAfterAnswer = 5 * time.Second

// answer sends what comes out of the chain to the agent, and acknowledges the messages that it answers.
func (j *job) answer(ctx context.Context, m *pb.MicroserviceCommunication) error {
	id := m.GetRequestMetadata().GetCorrelationId()
	j.mu.Lock()
	j.answered = id
	j.mu.Unlock()
	j.end() // before the answer, upon which the next request may follow
	out := chainSending(m, microserviceCommunication, m.GetRequestMetadata().GetReturnAddress())
	if err := j.server.send(ctx, out); err != nil {
		j.mu.Lock()
		j.answered = ""
		j.mu.Unlock()
		return err
	}
	j.acknowledge(ctx, id)
	time.AfterFunc(stopAfterAnswer, j.server.stop)
	return nil
}
