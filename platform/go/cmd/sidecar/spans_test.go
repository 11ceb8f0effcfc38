package main

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/codes"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace/tracetest"
)

func TestMessagesFollowUponTheSpanThatSentThem(t *testing.T) {
	spans := tracetest.Record(t)
	broker := newFakeBroker()
	s := startSidecar(t, broker)
	messages := s.consume(t, t.Context(), "orchestrator-in")
	call := rpc.NewTrace()
	if _, err := s.server.SendValidationResponse(rpc.WithTrace(t.Context(), call), &pb.ValidationResponse{}); err != nil {
		t.Fatal(err)
	}
	got, _ := rpc.TraceOf(s.recv(t, messages).GetTraces())
	sent, received := spans.Ended(t, "send validationResponse", 1)[0], spans.Ended(t, "receive validationResponse", 1)[0]
	if sent.SpanContext().TraceID() != call.ID || sent.Parent().SpanID() != call.Span {
		t.Errorf("sending: trace %s under %s, want those of the call", sent.SpanContext().TraceID(), sent.Parent().SpanID())
	}
	if received.Parent().SpanID() != sent.SpanContext().SpanID() {
		t.Errorf("receiving is under %s, want the sending, %s", received.Parent().SpanID(), sent.SpanContext().SpanID())
	}
	if got.ID != call.ID || got.Span != received.SpanContext().SpanID() {
		t.Errorf("the main container got %x, want the receiving, %s", got.Span, received.SpanContext().SpanID())
	}
}

func TestMessageWithoutATraceStaysWithout(t *testing.T) {
	spans := tracetest.Record(t)
	broker := newFakeBroker()
	s := startSidecar(t, broker)
	messages := s.consume(t, t.Context(), "orchestrator-in")
	p, err := encode(validationResponse, "", rpc.Trace{}, &pb.ValidationResponse{})
	if err != nil {
		t.Fatal(err)
	}
	p.Headers = nil
	b, err := broker.dial(t.Context())
	if err == nil {
		err = b.Publish(t.Context(), "orchestrator-in", p)
	}
	if err != nil {
		t.Fatal(err)
	}
	if m := s.recv(t, messages); len(m.GetTraces()) != 0 { // a gateway would look for that trace, and not for the user
		t.Errorf("traces %v, want none", m.GetTraces())
	}
	spans.Ended(t, "receive validationResponse", 1)
}

func TestChainFollowsUponTheSidecar(t *testing.T) {
	spans := tracetest.Record(t)
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	var got rpc.Trace
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		got, _ = rpc.TraceOf(m.GetTraces())
		s.answer(t, m)
		s.stopChain(t)
		return nil
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	received, sent := spans.Ended(t, "receive microserviceCommunication", 1)[0], spans.Ended(t, "send microserviceCommunication", 1)[0]
	if got.Span != received.SpanContext().SpanID() {
		t.Errorf("the first service got %x, want the receiving, %s", got.Span, received.SpanContext().SpanID())
	}
	if sent.Parent().SpanID() != got.Span {
		t.Errorf("the answer is under %s, want the service's %x", sent.Parent().SpanID(), got.Span)
	}
	correlated := false
	for _, a := range received.Attributes() {
		correlated = correlated || a.Key == "dynamos.correlation" && a.Value.AsString() == "C1"
	}
	if !correlated {
		t.Errorf("attributes %v, want the correlation id", received.Attributes())
	}
}

func TestMessageThatIsNotSentIsAnErrorOfItsSpan(t *testing.T) {
	spans := tracetest.Record(t)
	broker := newFakeBroker()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newServer(broker.dial).SendValidationResponse(ctx, &pb.ValidationResponse{}); err == nil {
		t.Fatal("a message was sent for a caller that is gone")
	}
	if s := spans.Ended(t, "send validationResponse", 1)[0].Status(); s.Code != codes.Error || s.Description == "" {
		t.Errorf("status %v, want an error", s)
	}
}
