package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// handOn gives the message to the next service, or news of why that was impossible to whoever can still be reached.
func (r *run) handOn(ctx context.Context, message *pb.MicroserviceCommunication) error {
	err := r.send(ctx, r.next, message)
	if err == nil {
		return nil
	}
	who := "the sidecar"
	if !r.place.Last {
		who = fmt.Sprintf("the next service (port %d)", r.place.next())
	}
	slog.ErrorContext(ctx, "message not handed on", "to", who, "error", err)
	text := message.GetMetadata()[ErrorKey]
	if text == "" || message.GetData() != nil {
		text = fmt.Sprintf("%s: hand the message to %s: %s", r.service.Name, who, status.Convert(err).Message())
	}
	_, span := trace.Start(ctx, trace.Client, "hand on")
	span.End(errors.New(text))
	failed := failure(message, text)
	if alive(err) && !r.place.Last && r.send(ctx, r.next, failed) == nil {
		return nil
	}
	// The others were left out and will never hand on anything, so it is this service that ends the sidecar.
	r.mu.Lock()
	r.broken = true
	r.mu.Unlock()
	if err := r.send(ctx, r.sidecar, failed); err != nil {
		return fmt.Errorf("%s (and the sidecar: %w)", text, err)
	}
	return nil
}

// alive says whether a service that answered so may still take another message: this one was refused, for its size
// perhaps.
func alive(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return false
	default:
		return true
	}
}

// send returns when the other end has handled the message. Only its start is timed.
func (r *run) send(ctx context.Context, to *grpc.ClientConn, message *pb.MicroserviceCommunication) error {
	timeout := r.place.nextTimeout()
	starting, cancel := context.WithTimeoutCause(ctx, timeout,
		status.Errorf(codes.DeadlineExceeded, "it did not listen within %v", timeout))
	defer cancel()
	if err := rpc.WaitServing(starting, to); err != nil {
		if starting.Err() != nil {
			return context.Cause(starting)
		}
		return err
	}
	_, err := pb.NewMicroserviceClient(to).SendData(ctx, message, grpc.WaitForReady(false))
	return err
}
