package main

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// handOver gives one message to the first service. The call returns when the service, and mostly all of the chain,
// has handled it.
func (j *job) handOver(ctx context.Context, first *grpc.ClientConn, d *amqp.Delivery) {
	message, err := chainMessage(d)
	if err != nil {
		slog.ErrorContext(ctx, "message rejected", "error", err)
		logged(ctx, d.Reject(false)) // to the dead letters
		return
	}
	id := message.GetRequestMetadata().GetCorrelationId()
	body := digest(sha256.Sum256(d.Body))
	switch j.take(id, body, d) {
	case taken:
	case known:
		slog.InfoContext(ctx, "message delivered again, the chain has it", "correlation", id)
		return
	case refused:
		logged(ctx, d.Nack(false, true))
		return
	}
	if t, ok := rpc.TraceOf(message.GetTraces()); ok {
		ctx = rpc.WithTrace(ctx, t)
	}
	// A service that is gone is not waited for: when it comes back it asks for everything anew.
	_, err = pb.NewMicroserviceClient(first).SendData(ctx, message, grpc.WaitForReady(false))
	switch status.Code(err) {
	case codes.OK:
	case codes.Unavailable, codes.Canceled, codes.DeadlineExceeded:
		slog.WarnContext(ctx, "message not taken by the chain", "correlation", id, "error", err)
		j.putBack(ctx, id, body, d)
	default:
		slog.ErrorContext(ctx, "the chain failed", "correlation", id, "error", err)
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
	j.end() // before the answer, upon which the next request may follow
	out := chainSending(m, microserviceCommunication, m.GetRequestMetadata().GetReturnAddress())
	if err := j.server.send(ctx, out); err != nil {
		return err
	}
	id := m.GetRequestMetadata().GetCorrelationId()
	j.mu.Lock()
	answered := j.unanswered[id]
	delete(j.unanswered, id)
	j.mu.Unlock()
	for _, d := range answered {
		logged(ctx, d.Ack(false))
	}
	time.AfterFunc(stopAfterAnswer, j.server.stop)
	return nil
}

type taking int

const (
	taken   taking = iota // to be handed over
	known                 // handed over before; only the delivery is new
	refused               // the job is ending
)

// take notes that the message is handed over now.
func (j *job) take(id string, body digest, d *amqp.Delivery) taking {
	j.mu.Lock()
	defer j.mu.Unlock()
	if d.Redelivered && j.handed[body] > 0 {
		j.handed[body]--
		j.unanswered[id] = append(j.unanswered[id], d)
		return known
	}
	if j.ending {
		return refused
	}
	j.handed[body]++
	j.unanswered[id] = append(j.unanswered[id], d)
	return taken
}

// putBack notes that the chain doesn't have the message. While the job goes on it stays unacknowledged, for the
// first service's next life; otherwise the queue gets it back, for the next Pod.
func (j *job) putBack(ctx context.Context, id string, body digest, d *amqp.Delivery) {
	j.mu.Lock()
	j.handed[body]--
	kept := j.unanswered[id][:0]
	for _, other := range j.unanswered[id] {
		if other != d {
			kept = append(kept, other)
		}
	}
	back := j.ending && len(kept) < len(j.unanswered[id])
	j.unanswered[id] = kept
	j.mu.Unlock()
	if back {
		logged(ctx, d.Nack(false, true))
	}
}

// logged is for acknowledgements: when one fails the connection is lost, and the message comes again by itself.
func logged(ctx context.Context, err error) {
	if err != nil {
		slog.DebugContext(ctx, "not acknowledged", "error", err)
	}
}
