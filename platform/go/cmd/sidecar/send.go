package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const (
	// sendTimeout is how long a message may wait for the broker, or for its queue to be declared.
	sendTimeout = 30 * time.Second
	// dataTimeout is the same for messages of a data request, for which somebody waits 30 s in all.
	dataTimeout = 10 * time.Second
)

// sending is a message on its way out.
type sending struct {
	kind        string
	queue       string
	correlation string // only data requests and policy updates have one
	traces      map[string][]byte
	message     proto.Message
	timeout     time.Duration
}

// send returns when the message is in its queue. A queue that doesn't exist may be about to, and a broker that is
// away may come back, so both are tried again until the timeout.
func (s *server) send(ctx context.Context, out sending) (err error) {
	if own, ok := rpc.TraceOf(out.traces); ok {
		ctx = rpc.WithTrace(ctx, own)
	}
	ctx = logging.WithCorrelation(ctx, out.correlation)
	ctx, span := trace.Start(ctx, trace.Producer, "send "+out.kind, trace.Queue(out.queue))
	defer func() { span.End(err) }()
	current, _ := rpc.TraceFrom(ctx)
	message, err := encode(out.kind, out.correlation, current, out.message)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, out.timeout)
	defer cancel()
	begun := time.Now()
	var last error
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		b, err := s.link.get(ctx)
		if err == nil {
			err = b.Publish(ctx, out.queue, message)
		}
		if err == nil {
			slog.DebugContext(ctx, "sent", "type", out.kind, "queue", out.queue, "bytes", len(message.Body),
				"took", time.Since(begun))
			return nil
		}
		// What made the attempts before fail tells more than that time is up now.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if errors.Is(err, errRefused) || errors.Is(err, errEnding) || sleep(ctx, pause) != nil {
			slog.ErrorContext(ctx, "not sent", "type", out.kind, "queue", out.queue, "error", last)
			return notSent(out, last, time.Since(begun))
		}
	}
}

func notSent(out sending, err error, after time.Duration) error {
	code := codes.Unavailable
	switch {
	case errors.Is(err, errNoRoute):
		code = codes.NotFound
	case errors.Is(err, errRefused):
		code = codes.FailedPrecondition
	}
	return status.Error(code, fmt.Sprintf("send %s to queue %s: %v after %v", out.kind, out.queue, err, after.Round(time.Millisecond)))
}
