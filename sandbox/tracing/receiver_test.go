package tracing

import (
	"context"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	occommon "github.com/census-instrumentation/opencensus-proto/gen-go/agent/common/v1"
	agent "github.com/census-instrumentation/opencensus-proto/gen-go/agent/trace/v1"
	opencensus "github.com/census-instrumentation/opencensus-proto/gen-go/trace/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// receive opens a receiver, and connects to it.
func receive(t *testing.T) (*Store, *grpc.ClientConn) {
	t.Helper()
	free, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := netip.MustParseAddrPort(free.Addr().String())
	if _, err := Listen(t.Context(), address, NewStore(DefaultLimits)); err == nil {
		t.Error("listening where another listens was no error")
	}
	free.Close()
	st := NewStore(DefaultLimits)
	r, err := Listen(t.Context(), address, st)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	conn, err := grpc.NewClient(address.String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return st, conn
}

func bytes(n int, last byte) []byte { b := make([]byte, n); b[n-1] = last; return b }

const traceOne, spanOne, spanTwo, spanThree = "00000000000000000000000000000001", "0000000000000001", "0000000000000002", "0000000000000003"

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func TestOTLP(t *testing.T) {
	t.Parallel()
	st, conn := receive(t)
	list := &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: []*common.AnyValue{
		{Value: &common.AnyValue_IntValue{IntValue: 1}}, {Value: &common.AnyValue_BoolValue{BoolValue: true}},
	}}}}
	_, err := collector.NewTraceServiceClient(conn).Export(t.Context(), &collector.ExportTraceServiceRequest{ResourceSpans: []*otlp.ResourceSpans{{
		Resource: &resource.Resource{Attributes: []*common.KeyValue{
			text("service.name", "sql-query"), text("service.namespace", "uva"), text("telemetry.sdk.name", "x"), text("k8s.job.name", "j1"),
		}},
		ScopeSpans: []*otlp.ScopeSpans{{Spans: []*otlp.Span{{
			TraceId: bytes(16, 1), SpanId: bytes(8, 2), ParentSpanId: bytes(8, 1), Name: "sqlDataRequest", Kind: otlp.Span_SPAN_KIND_CONSUMER,
			StartTimeUnixNano: uint64(noon.UnixNano()), EndTimeUnixNano: uint64(noon.Add(1500 * time.Millisecond).UnixNano()),
			Status:     &otlp.Status{Code: otlp.Status_STATUS_CODE_ERROR},
			Events:     []*otlp.Span_Event{{Name: "exception", Attributes: []*common.KeyValue{text("exception.message", "no such table")}}},
			Attributes: []*common.KeyValue{text("dynamos.job", "ann-1"), text("dynamos.correlation", "C1"), {Key: "list", Value: list}},
			Links:      []*otlp.Span_Link{{TraceId: bytes(16, 1), SpanId: bytes(8, 3)}},
		}}}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	want := &Span{
		Trace: traceOne, ID: spanTwo, Parent: spanOne, Service: "sql-query", Group: "uva", Name: "sqlDataRequest", Kind: "consumer",
		Error: "no such table", Failed: true, Job: "ann-1", Request: "C1", Links: []Link{{traceOne, spanThree}},
		Start: time.Unix(0, noon.UnixNano()), Seconds: 1.5, Other: map[string]string{"k8s.job.name": "j1", "list": "1, true"},
	}
	if all := st.Traces(); len(all) != 1 || len(all[0].Spans) != 1 || !reflect.DeepEqual(all[0].Spans[0], want) {
		t.Errorf("got %+v\nwant %+v", all[0].Spans[0], want)
	}
}

// What is no id is kept neither as a span's nor as a link's: nothing else bounds how long it is.
func TestIDsAreOfTheirLength(t *testing.T) {
	t.Parallel()
	st, conn := receive(t)
	span := func(trace, id, parent int) *otlp.Span {
		return &otlp.Span{TraceId: bytes(trace, 1), SpanId: bytes(id, 1), ParentSpanId: bytes(parent, 1)}
	}
	with := span(16, 8, 8)
	for _, n := range [][2]int{{17, 8}, {16, 7}, {1000, 1000}, {16, 8}} {
		with.Links = append(with.Links, &otlp.Span_Link{TraceId: bytes(n[0], 1), SpanId: bytes(n[1], 1)})
	}
	export := func(spans ...*otlp.Span) {
		t.Helper()
		_, err := collector.NewTraceServiceClient(conn).Export(t.Context(), &collector.ExportTraceServiceRequest{ResourceSpans: []*otlp.ResourceSpans{{
			ScopeSpans: []*otlp.ScopeSpans{{Spans: spans}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	export(span(15, 8, 8), span(1000, 8, 8), span(16, 4, 8), span(16, 16, 8), span(16, 8, 9), span(16, 8, 1000))
	if all := st.Traces(); len(all) > 0 {
		t.Errorf("kept %+v", all[0].Spans[0])
	}
	export(with)
	if all := st.Traces(); len(all) != 1 || !reflect.DeepEqual(all[0].Spans[0].Links, []Link{{traceOne, spanOne}}) {
		t.Errorf("kept %+v", all)
	}
	oc := fromOpenCensus(&opencensus.Span{TraceId: bytes(16, 1), SpanId: bytes(9, 1)}, nil)
	if st.Add(oc); len(st.Traces()) != 1 || oc.ID != "" {
		t.Errorf("kept %+v", oc)
	}
}

func TestOpenCensus(t *testing.T) {
	t.Parallel()
	st, conn := receive(t)
	client := agent.NewTraceServiceClient(conn)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	config, err := client.Config(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Send(&agent.CurrentLibraryConfig{}); err != nil {
		t.Fatal(err)
	}
	stream, err := client.Export(ctx)
	if err != nil {
		t.Fatal(err)
	}
	node := &occommon.Node{ServiceInfo: &occommon.ServiceInfo{Name: "policyEnforcer"}}
	span := func(id byte) *opencensus.Span {
		return &opencensus.Span{
			TraceId: bytes(16, 1), SpanId: bytes(8, id), Name: &opencensus.TruncatableString{Value: "validate"}, Kind: opencensus.Span_SERVER,
			StartTime: timestamppb.New(noon), EndTime: timestamppb.New(noon.Add(time.Second)),
			Status: &opencensus.Status{Code: 2, Message: "denied"},
			Attributes: &opencensus.Span_Attributes{AttributeMap: map[string]*opencensus.AttributeValue{
				"user": {Value: &opencensus.AttributeValue_StringValue{StringValue: &opencensus.TruncatableString{Value: "ann"}}},
			}},
		}
	}
	// Only the first message of a stream says whose it is.
	for _, request := range []*agent.ExportTraceServiceRequest{{Node: node}, {Spans: []*opencensus.Span{span(1)}}, {Spans: []*opencensus.Span{span(2)}}} {
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err == nil {
		t.Fatal("the stream goes on")
	}
	want := &Span{
		Trace: traceOne, ID: spanOne, Service: "policyEnforcer", Name: "validate", Kind: "server", Error: "denied", Failed: true,
		Start: noon, Seconds: 1, Other: map[string]string{"user": "ann"},
	}
	if all := st.Traces(); len(all) != 1 || len(all[0].Spans) != 2 || !reflect.DeepEqual(all[0].Spans[0], want) {
		t.Errorf("got %+v\nwant %+v", all[0].Spans[0], want)
	}
}
