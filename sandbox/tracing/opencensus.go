package tracing

import (
	"errors"
	"io"
	"strconv"
	"strings"

	common "github.com/census-instrumentation/opencensus-proto/gen-go/agent/common/v1"
	agent "github.com/census-instrumentation/opencensus-proto/gen-go/agent/trace/v1"
	opencensus "github.com/census-instrumentation/opencensus-proto/gen-go/trace/v1"
)

// opencensusServer is an OpenCensus agent, which the Go services of DYNAMOS send their spans to.
type opencensusServer struct {
	agent.UnimplementedTraceServiceServer

	store *Store
}

// Config is open for as long as the other end likes; there is nothing to configure.
func (s opencensusServer) Config(stream agent.TraceService_ConfigServer) error {
	for {
		if _, err := stream.Recv(); err != nil {
			return ended(err)
		}
	}
}

func (s opencensusServer) Export(stream agent.TraceService_ExportServer) error {
	var node *common.Node // told once for the messages that follow
	for {
		request, err := stream.Recv()
		if err != nil {
			return ended(err)
		}
		if request.GetNode() != nil {
			node = request.GetNode()
		}
		var spans []*Span
		for _, span := range request.GetSpans() {
			spans = append(spans, fromOpenCensus(span, node))
		}
		s.store.Add(spans...)
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func fromOpenCensus(from *opencensus.Span, node *common.Node) *Span {
	start := from.GetStartTime().AsTime()
	span := &Span{
		Name:    from.GetName().GetValue(),
		Start:   start,
		Seconds: max(0, from.GetEndTime().AsTime().Sub(start).Seconds()),
		Failed:  from.GetStatus().GetCode() != 0,
		Error:   from.GetStatus().GetMessage(),
	}
	if from.GetKind() != opencensus.Span_SPAN_KIND_UNSPECIFIED {
		span.Kind = strings.ToLower(from.GetKind().String())
	}
	span.identify(from.GetTraceId(), from.GetSpanId(), from.GetParentSpanId())
	for _, link := range from.GetLinks().GetLink() {
		span.link(link.GetTraceId(), link.GetSpanId())
	}
	attributes := map[string]string{serviceAttribute: node.GetServiceInfo().GetName()}
	for name, value := range from.GetAttributes().GetAttributeMap() {
		switch v := value.GetValue().(type) {
		case *opencensus.AttributeValue_StringValue:
			attributes[name] = v.StringValue.GetValue()
		case *opencensus.AttributeValue_IntValue:
			attributes[name] = strconv.FormatInt(v.IntValue, 10)
		case *opencensus.AttributeValue_BoolValue:
			attributes[name] = strconv.FormatBool(v.BoolValue)
		case *opencensus.AttributeValue_DoubleValue:
			attributes[name] = strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
		}
	}
	span.describe(attributes)
	return span
}
