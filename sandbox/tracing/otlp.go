package tracing

import (
	"context"
	"encoding/hex"
	"maps"
	"strconv"
	"strings"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

type otlpServer struct {
	collector.UnimplementedTraceServiceServer

	store *Store
}

func (s otlpServer) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	var spans []*Span
	for _, of := range request.GetResourceSpans() {
		process := otlpAttributes(of.GetResource().GetAttributes())
		for name := range process {
			if strings.HasPrefix(name, "telemetry.sdk.") {
				delete(process, name) // the same in every span, and no part of the request
			}
		}
		for _, scope := range of.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				spans = append(spans, fromOTLP(span, process))
			}
		}
	}
	s.store.Add(spans...)
	return &collector.ExportTraceServiceResponse{}, nil
}

func fromOTLP(from *otlp.Span, process map[string]string) *Span {
	start := unixNano(from.GetStartTimeUnixNano())
	span := &Span{
		Name:    from.GetName(),
		Kind:    strings.ToLower(strings.TrimPrefix(from.GetKind().String(), "SPAN_KIND_")),
		Start:   start,
		Seconds: max(0, unixNano(from.GetEndTimeUnixNano()).Sub(start).Seconds()),
		Failed:  from.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR,
	}
	if span.Failed {
		span.Error = from.GetStatus().GetMessage()
	}
	for _, event := range from.GetEvents() { // an exception may be told only there
		if text := otlpAttributes(event.GetAttributes())["exception.message"]; span.Failed && span.Error == "" {
			span.Error = text
		}
	}
	span.identify(from.GetTraceId(), from.GetSpanId(), from.GetParentSpanId())
	for _, link := range from.GetLinks() {
		span.link(link.GetTraceId(), link.GetSpanId())
	}
	attributes := maps.Clone(process)
	maps.Copy(attributes, otlpAttributes(from.GetAttributes()))
	span.describe(attributes)
	return span
}

func unixNano(n uint64) time.Time { return time.Unix(0, int64(n)) }

func otlpAttributes(list []*common.KeyValue) map[string]string {
	attributes := map[string]string{}
	for _, a := range list {
		attributes[a.GetKey()] = otlpValue(a.GetValue())
	}
	return attributes
}

func otlpValue(value *common.AnyValue) string {
	switch v := value.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return v.StringValue
	case *common.AnyValue_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *common.AnyValue_IntValue:
		return strconv.FormatInt(v.IntValue, 10)
	case *common.AnyValue_DoubleValue:
		return strconv.FormatFloat(v.DoubleValue, 'g', -1, 64)
	case *common.AnyValue_BytesValue:
		return hex.EncodeToString(v.BytesValue)
	case *common.AnyValue_ArrayValue:
		var items []string
		for _, item := range v.ArrayValue.GetValues() {
			items = append(items, otlpValue(item))
		}
		return strings.Join(items, ", ")
	case *common.AnyValue_KvlistValue:
		var items []string
		for _, item := range v.KvlistValue.GetValues() {
			items = append(items, item.GetKey()+"="+otlpValue(item.GetValue()))
		}
		return strings.Join(items, ", ")
	}
	return ""
}
