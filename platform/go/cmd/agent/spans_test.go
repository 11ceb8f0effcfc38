package main

import (
	"slices"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	corev1 "k8s.io/api/core/v1"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace/tracetest"
)

func TestWhatAnAgentSendsFollowsUponItsChain(t *testing.T) {
	spans := tracetest.Record(t)
	p := newParty(t, "SURF", roleComputeProvider)
	replies := p.post(validBody)
	var id string
	var asked []rpc.Trace
	for range 2 {
		metadata := sent[*pb.SqlDataRequest](p).GetRequestMetadata()
		id = metadata.GetCorrelationId()
		of, _ := rpc.TraceOf(metadata.GetTraces())
		asked = append(asked, of)
	}
	for _, provider := range []string{"VU-in", "UVA-in"} {
		p.arrives(t, id, provider, "", nil)
	}
	p.arrives(t, id, "SURF-in", "", map[string]string{errorKey: "sql-algorithm: overflow"})
	<-replies
	request, chain := spans.Ended(t, "POST /agent/v1/sqlDataRequest/surf", 1)[0], spans.Ended(t, "run chain", 1)[0]
	if chain.Parent().SpanID() != request.SpanContext().SpanID() {
		t.Errorf("the chain is under %s, want the request", chain.Parent().SpanID())
	}
	for _, of := range asked {
		if of.Span != chain.SpanContext().SpanID() {
			t.Errorf("a provider is asked under %x, want the chain, %s", of.Span, chain.SpanContext().SpanID())
		}
	}
	for _, span := range []sdk.ReadOnlySpan{request, chain} {
		if s := span.Status(); s.Code != codes.Error || s.Description != "sql-algorithm: overflow" {
			t.Errorf("status %v, want the chain's error", s)
		}
	}
	told := map[string]string{}
	for _, a := range chain.Attributes() {
		told[string(a.Key)] = a.Value.String()
	}
	if told["dynamos.job"] != "ann-12345678" || told["dynamos.correlation"] != id || told["k8s.job.name"] != "ann-12345678surf1" {
		t.Errorf("attributes %v", told)
	}
}

func TestContainersOfAJobSendTheirSpansWhereTheAgentDoes(t *testing.T) {
	t.Parallel()
	a := newAgent("UVA", nil, nil, nil, nil, imagesFromEnv(func(string) string { return "" }))
	a.spans = spanVariables([]string{
		"PATH=/bin", "OTEL_EXPORTER_OTLP_TIMEOUT=", "OTEL_EXPORTER_OTLP_HEADERS=a=b", "OTEL_EXPORTER_OTLP_ENDPOINT=http://x:4317",
		"OTEL_RESOURCE_ATTRIBUTES=service.namespace=agents", "OTEL_SERVICE_NAME=agent",
	})
	job := a.manifest("j1", &pb.CompositionRequest{JobName: "j"}, []string{"sql-query", "sql-algorithm"})
	want := []corev1.EnvVar{
		{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "http://x:4317"},
		{Name: "OTEL_EXPORTER_OTLP_HEADERS", Value: "a=b"},
		{Name: "OTEL_RESOURCE_ATTRIBUTES", Value: "service.namespace=uva,k8s.job.name=j1,dynamos.job=j"},
	}
	for _, c := range job.Spec.Template.Spec.Containers {
		got := slices.DeleteFunc(slices.Clone(c.Env), func(e corev1.EnvVar) bool { return len(e.Name) < 5 || e.Name[:5] != "OTEL_" })
		if !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", c.Name, got, want)
		}
	}
}
