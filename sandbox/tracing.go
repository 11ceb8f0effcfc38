package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
)

// openTracing is the phase "tracing". It never fails: a platform runs as well when nobody sees its spans.
func (b *bringUp) openTracing(ctx context.Context) (string, error) {
	open, err := b.session.receiveSpans(ctx, b.network)
	if err != nil {
		b.feed.note(fmt.Sprintf("some spans are not seen: %v", err))
	}
	if len(open) == 0 {
		return "no spans are received", nil
	}
	return "at " + strings.Join(open, ", ") + " for Pods", nil
}

// receiveSpans opens what isn't open yet of the receivers of spans, at the gateway of the sandbox's network: Pods reach it as
// the collector that DYNAMOS has compiled in. It returns the addresses that are open; the error is about the others.
func (s *session) receiveSpans(ctx context.Context, net cluster.Network) (open []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds.receivers == nil {
		s.holds.receivers = map[netip.AddrPort]*tracing.Receiver{}
	}
	for _, port := range []uint16{tracing.OTLPPort, tracing.OpenCensusPort} {
		at := netip.AddrPortFrom(net.Gateway, port)
		if s.holds.receivers[at] == nil {
			r, listenErr := tracing.Listen(ctx, at, s.spans)
			if listenErr != nil {
				err = errors.Join(err, listenErr)
				continue
			}
			s.holds.receivers[at] = r
		}
		open = append(open, at.String())
	}
	return open, err
}

// lastSpans is how long the spans of a request that was answered may be on their way.
const lastSpans = 3 * time.Second

// replayed is when a scenario's request was sent and answered, and the job that the answer names; empty where it names none.
type replayed struct {
	begun, answered time.Time
	job             string
}

// awaitReplayed waits until something of the last scenario's request has arrived, if that can still be on its way: before that
// the newest request would be another.
func (s *session) awaitReplayed(ctx context.Context) {
	if last := s.replayed.Load(); last != nil && time.Since(last.answered) < lastSpans {
		s.traceOf(ctx, *last)
	}
}

// traceOf is the id of a request's trace; empty if nobody sends spans.
func (s *session) traceOf(ctx context.Context, request replayed) string {
	ctx, cancel := context.WithTimeout(ctx, lastSpans)
	defer cancel()
	trace := s.spans.Since(ctx, request.begun, request.job)
	if trace == nil {
		return ""
	}
	return trace.ID
}

// Trace implements the control API.
func (s *session) Trace(ctx context.Context, req *control.TraceRequest) (*control.TraceReply, error) {
	if req.Of == "" {
		s.awaitReplayed(ctx)
	}
	trace, err := s.spans.Settled(ctx, req.Of)
	if err != nil {
		return nil, failed(s.scrub(err))
	}
	b, err := json.Marshal(trace)
	return &control.TraceReply{Json: b}, err
}

// Traces implements the control API.
func (s *session) Traces(context.Context, *control.TracesRequest) (*control.TracesReply, error) {
	traces := s.spans.Traces()
	for _, t := range traces {
		t.Spans = nil
	}
	b, err := json.Marshal(traces)
	return &control.TracesReply{Json: b}, err
}
