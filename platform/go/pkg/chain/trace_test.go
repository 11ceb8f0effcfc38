package chain

import (
	"context"
	"errors"
	"testing"

	"go.opentelemetry.io/otel/codes"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace/tracetest"
)

func TestEachServiceIsASpan(t *testing.T) {
	spans := tracetest.Record(t)
	r := start(t, 0, Service{Name: "a", Handle: note("a")}, Service{Name: "b", Handle: note("b")})
	message := request(t, "C1", "x")
	message.RequestType = "sqlDataRequest"
	sent, _ := rpc.TraceOf(message.GetTraces())
	if _, err := r.first.SendData(t.Context(), message); err != nil {
		t.Fatal(err)
	}
	answer, _ := rpc.TraceOf((<-r.answers).GetTraces())
	r.finish(t)
	of := spans.Ended(t, "handle sqlDataRequest", 2)
	a, b := of[0], of[1]
	if a.SpanContext().TraceID() != sent.ID || a.Parent().SpanID() != sent.Span {
		t.Errorf("first service: trace %s under %s, want those of the message", a.SpanContext().TraceID(), a.Parent().SpanID())
	}
	if b.Parent().SpanID() != a.SpanContext().SpanID() {
		t.Errorf("second service is under %s, want the first, %s", b.Parent().SpanID(), a.SpanContext().SpanID())
	}
	if answer.ID != sent.ID || answer.Span != b.SpanContext().SpanID() {
		t.Errorf("the answer is under %x, want the last service, %s", answer.Span, b.SpanContext().SpanID())
	}
}

func TestFailedServicesSpanHasTheError(t *testing.T) {
	spans := tracetest.Record(t)
	fails := func(context.Context, []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		return nil, errors.New("no such table: Persons")
	}
	r := start(t, 0, Service{Name: "a", Handle: fails}, Service{Name: "b", Handle: note("b")})
	if _, err := r.first.SendData(t.Context(), request(t, "C1", "x")); err != nil {
		t.Fatal(err)
	}
	<-r.answers
	r.finish(t)
	of := spans.Ended(t, "handle sqlDataRequest", 2)
	if s := of[0].Status(); s.Code != codes.Error || s.Description != "no such table: Persons" {
		t.Errorf("the failed service's status is %v", s)
	}
	if s := of[1].Status(); s.Code == codes.Error {
		t.Errorf("a service that handed the failure on has the status %v", s)
	}
}

func TestOtherMessagesAreLinked(t *testing.T) {
	spans := tracetest.Record(t)
	r := start(t, 2, Service{Name: "merge", Messages: 2, Handle: func(_ context.Context, m []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		return m[0], nil
	}})
	first, last := request(t, "C1", "x"), request(t, "C1", "y")
	for _, m := range []*pb.MicroserviceCommunication{first, last} {
		if _, err := r.first.SendData(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	<-r.answers
	r.finish(t)
	span := spans.Ended(t, "handle sqlDataRequest", 1)[0]
	parent, _ := rpc.TraceOf(last.GetTraces())
	linked, _ := rpc.TraceOf(first.GetTraces())
	if span.Parent().SpanID() != parent.Span || len(span.Links()) != 1 || span.Links()[0].SpanContext.SpanID() != linked.Span {
		t.Errorf("span is under %s with links %v, want the last message's and a link to the first", span.Parent().SpanID(), span.Links())
	}
}
