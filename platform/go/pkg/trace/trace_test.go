package trace

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// receiver takes spans over OTLP. The tests here share the process's provider and its environment, so that none is parallel.
type receiver struct {
	collector.UnimplementedTraceServiceServer

	mu       sync.Mutex
	requests []*collector.ExportTraceServiceRequest
	stall    chan struct{} // if set, nothing is answered before it is closed
}

func (r *receiver) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	if r.stall != nil {
		<-r.stall
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, request)
	return &collector.ExportTraceServiceResponse{}, nil
}

// spans are those received, by name, and the attributes of the resource that they came with.
func (r *receiver) spans() (spans map[string]*otlp.Span, resource map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans, resource = map[string]*otlp.Span{}, map[string]string{}
	for _, request := range r.requests {
		for _, of := range request.GetResourceSpans() {
			for _, a := range of.GetResource().GetAttributes() {
				resource[a.GetKey()] = a.GetValue().GetStringValue()
			}
			for _, scope := range of.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					spans[span.GetName()] = span
				}
			}
		}
	}
	return spans, resource
}

// listen has the environment name a receiver.
func listen(t *testing.T, r *receiver) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
}

func attributes(span *otlp.Span) map[string]string {
	found := map[string]string{}
	for _, a := range span.GetAttributes() {
		found[a.GetKey()] = a.GetValue().GetStringValue()
	}
	return found
}

func TestSpansArrive(t *testing.T) {
	r := &receiver{}
	listen(t, r)
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.namespace=uva")
	flush := Begin("sql-algorithm")
	sent := rpc.Trace{ID: [16]byte{1: 7}, Span: [8]byte{1: 9}, Flags: 1}

	ctx := logging.WithCorrelation(rpc.WithTrace(t.Context(), sent), "C1")
	ctx, first := Start(ctx, Consumer, "first", Job("ann-1"))
	got, ok := rpc.TraceFrom(ctx)
	if !ok || got.ID != sent.ID || got.Span == sent.Span || got.Flags != 1 {
		t.Errorf("trace of what is sent is %+v, want the same trace with the span's id", got)
	}
	if Current(ctx) != first {
		t.Error("the span that was begun is not the current one")
	}
	_, second := Start(ctx, Producer, "second")
	other := rpc.NewTrace()
	second.Link(other.Traces())
	second.End(errors.New("no such table: " + strings.Repeat("é", maxErrorBytes)))
	first.End(nil)
	flush()

	spans, resource := r.spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans arrived, want 2", len(spans))
	}
	if resource["service.name"] != "sql-algorithm" || resource["service.namespace"] != "uva" {
		t.Errorf("resource is %v", resource)
	}
	one, two := spans["first"], spans["second"]
	if string(one.GetTraceId()) != string(sent.ID[:]) || string(one.GetParentSpanId()) != string(sent.Span[:]) {
		t.Errorf("first span's trace and parent are %x, %x", one.GetTraceId(), one.GetParentSpanId())
	}
	if a := attributes(one); a["dynamos.correlation"] != "C1" || a["dynamos.job"] != "ann-1" {
		t.Errorf("attributes are %v", a)
	}
	if string(two.GetParentSpanId()) != string(one.GetSpanId()) || string(one.GetSpanId()) != string(got.Span[:]) {
		t.Errorf("second span's parent is %x, want %x", two.GetParentSpanId(), one.GetSpanId())
	}
	if one.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR {
		t.Error("a span without an error has one")
	}
	if s := two.GetStatus(); s.GetCode() != otlp.Status_STATUS_CODE_ERROR || !strings.HasPrefix(s.GetMessage(), "no such table: é") || len(s.GetMessage()) > maxErrorBytes+4 {
		t.Errorf("status is %v (%d bytes)", s.GetCode(), len(s.GetMessage()))
	}
	if l := two.GetLinks(); len(l) != 1 || string(l[0].GetSpanId()) != string(other.Span[:]) {
		t.Errorf("links are %v", l)
	}
}

func TestSpansArriveWhileTheServiceRuns(t *testing.T) {
	r := &receiver{}
	listen(t, r)
	defer Begin("sidecar")()
	_, span := Start(t.Context(), Internal, "only")
	span.End(nil)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if spans, _ := r.spans(); spans["only"] != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the span did not arrive before the end")
		}
	}
}

func TestAnswered(t *testing.T) {
	r := &receiver{}
	listen(t, r)
	flush := Begin("agent")
	for name, status := range map[string]int{"fine": 200, "refused": 403} {
		_, span := Start(t.Context(), Server, name)
		span.Answered(status, "why")
	}
	flush()
	spans, _ := r.spans()
	if s := spans["fine"].GetStatus(); s.GetCode() == otlp.Status_STATUS_CODE_ERROR {
		t.Errorf("200 has status %v", s)
	}
	if s := spans["refused"].GetStatus(); s.GetCode() != otlp.Status_STATUS_CODE_ERROR || s.GetMessage() != "why" {
		t.Errorf("403 has status %v", s)
	}
}

func TestWithoutAReceiver(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
	flush := Begin("sidecar")
	defer flush()
	sent := rpc.NewTrace()
	ctx, span := Start(rpc.WithTrace(t.Context(), sent), Internal, "x")
	if got, _ := rpc.TraceFrom(ctx); got != sent || span != nil {
		t.Errorf("trace %+v went on as %+v", sent, got)
	}
	if ctx, _ := Start(t.Context(), Internal, "x"); rpc.TracesOf(ctx) == nil {
		t.Error("a request without a trace got none")
	}
	span.Set(Job("x"))
	span.Link(sent.Traces())
	span.Answered(500, "x")
}

// Nobody waits for a receiver: not who makes spans, and not the process's end beyond a limit.
func TestAReceiverHoldsUpNobody(t *testing.T) {
	for _, test := range []struct {
		name     string
		endpoint func(t *testing.T)
		limit    time.Duration // of the end
	}{
		{"that is not there", func(t *testing.T) {
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			listener.Close()
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
		}, flushTimeout}, // which isn't waited for: that would take longer
		{"that takes no connection", func(t *testing.T) {
			listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
		}, 2 * flushTimeout},
		{"that answers nothing", func(t *testing.T) {
			r := &receiver{stall: make(chan struct{})}
			t.Cleanup(func() { close(r.stall) })
			listen(t, r)
		}, 2 * flushTimeout},
		{"whose name is nobody's", func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector.invalid:4317")
		}, 2 * flushTimeout},
		{"whose address makes no sense", func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "::not an address")
		}, 2 * flushTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.endpoint(t)
			begun := time.Now()
			flush := Begin("sidecar")
			for range 10_000 { // more than the queue holds
				_, span := Start(t.Context(), Internal, "x")
				span.End(nil)
			}
			if took := time.Since(begun); took > 2*time.Second {
				t.Errorf("10,000 spans took %v", took)
			}
			begun = time.Now()
			flush()
			if took := time.Since(begun); took > test.limit {
				t.Errorf("the end took %v", took)
			}
		})
	}
}
