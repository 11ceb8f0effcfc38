package chain

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// SendData takes a message from the service before, or from the sidecar. It returns when the rest of the chain has
// handled it; for a service that waits for several messages, all but the last return at once, because a sidecar may
// hand over one after the other. UNAVAILABLE means that the message was not taken: it belongs to another request, or
// came after the last. Any other error means that it was lost, with a failure that can't be told to anyone else.
func (r *run) SendData(ctx context.Context, message *pb.MicroserviceCommunication) (*pb.ContinueReceiving, error) {
	if message.GetType() != MessageType {
		return nil, status.Errorf(codes.InvalidArgument, "message of type %q, want %q", message.GetType(), MessageType)
	}
	messages, taken := r.take(message)
	if !taken {
		return nil, status.Errorf(codes.Unavailable, "%s takes no message any more", r.service.Name)
	}
	if messages == nil {
		return &pb.ContinueReceiving{ContinueReceiving: true}, nil
	}
	if t, ok := rpc.TraceOf(message.GetTraces()); ok {
		ctx = rpc.WithTrace(ctx, t)
	}
	ctx = logging.WithCorrelation(ctx, message.GetRequestMetadata().GetCorrelationId())
	// Whoever called may give up; the requester hasn't.
	ctx = context.WithoutCancel(ctx)
	defer r.doneOnce.Do(func() { close(r.done) })
	if err := r.handOn(ctx, r.work(ctx, message.GetRequestType(), messages)); err != nil {
		slog.ErrorContext(ctx, "message lost", "error", err)
		return nil, status.Error(codes.Internal, err.Error())
	}
	return &pb.ContinueReceiving{}, nil
}

// take adds a message to those that arrived. Messages are returned when they are complete, once.
func (r *run) take(message *pb.MicroserviceCommunication) (messages []*pb.MicroserviceCommunication, taken bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.full || len(r.arrived) > 0 && !sameRequest(r.arrived[0], message) {
		return nil, false
	}
	r.arrived = append(r.arrived, message)
	if len(r.arrived) < r.service.Messages {
		return nil, true
	}
	messages, r.arrived, r.full = r.arrived, nil, true
	return messages, true
}

func sameRequest(a, b *pb.MicroserviceCommunication) bool {
	return a.GetRequestMetadata().GetCorrelationId() == b.GetRequestMetadata().GetCorrelationId()
}

// work is the message to hand on: the handler's, or a failure. Whoever gets it follows upon this service's span.
func (r *run) work(ctx context.Context, requestType string, messages []*pb.MicroserviceCommunication) *pb.MicroserviceCommunication {
	ctx, span := trace.Start(ctx, trace.Server, "handle "+requestType)
	for _, m := range messages[:len(messages)-1] { // the last is the one that ctx has the trace of
		span.Link(m.GetTraces())
	}
	message, err := r.handle(ctx, messages)
	if err != nil {
		slog.ErrorContext(ctx, "request failed", "error", err)
		message = failure(messages[0], r.service.Name+": "+err.Error())
	}
	span.End(err)
	message.Traces = rpc.TracesOf(ctx)
	return message
}

// handle is the message that the handler makes, or the failure of a service before.
func (r *run) handle(ctx context.Context, messages []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
	for _, m := range messages {
		if text := m.GetMetadata()[ErrorKey]; text != "" && m.GetData() == nil {
			return failure(m, text), nil
		}
	}
	if n := r.place.Providers; r.place.First && n > len(messages) {
		// Its answer would be that of the provider who came first, and look like the answer of all.
		return nil, fmt.Errorf("%d data providers send rows, and no service joins them: "+
			"the chain of the third party has to begin with one that does (sql-aggregate, option aggregate)", n)
	}
	return r.call(ctx, messages)
}

// call calls the handler. A panic is the request's failure like any other: as the process's end it would be a
// time-out for the requester.
func (r *run) call(ctx context.Context, messages []*pb.MicroserviceCommunication) (m *pb.MicroserviceCommunication, err error) {
	defer func() {
		if p := recover(); p != nil {
			slog.ErrorContext(ctx, "handler panicked", "panic", p, "stack", string(debug.Stack()))
			m, err = nil, fmt.Errorf("internal error: %v", p)
		}
	}()
	return r.service.Handle(ctx, messages)
}

// failure is message as the news of a failure: what it carried is gone, where it goes stays.
func failure(message *pb.MicroserviceCommunication, text string) *pb.MicroserviceCommunication {
	return &pb.MicroserviceCommunication{
		Type:            message.GetType(),
		RequestType:     message.GetRequestType(),
		Metadata:        map[string]string{ErrorKey: text},
		OriginalRequest: message.GetOriginalRequest(),
		RequestMetadata: message.GetRequestMetadata(),
		Traces:          message.GetTraces(),
		RoutingData:     message.GetRoutingData(),
	}
}
