package main

import (
	"io"
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/codes"
	"google.golang.org/protobuf/encoding/protojson"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace/tracetest"
)

func TestApprovalAndDataAreOneTrace(t *testing.T) {
	spans := tracetest.Record(t)
	var asked rpc.Trace
	p := &platform{keepTrace: true, approve: approving("UVA", "VU"), agents: map[string]http.HandlerFunc{
		"uva:8080": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			data := new(pb.SqlDataRequest)
			if err := protojson.Unmarshal(body, data); err != nil {
				t.Error(err)
			}
			asked, _ = rpc.TraceOf(data.GetRequestMetadata().GetTraces())
			_, _ = io.WriteString(w, `{}`)
		},
		"vu:8080": says(500, "sql-query: no such table"),
	}}
	if w := post(p.gateway(t), validBody); w.Code != http.StatusBadGateway {
		t.Fatalf("status %d", w.Code)
	}
	request, calls := spans.Ended(t, "POST /api/v1/requestApproval", 1)[0], spans.Ended(t, "call agent", 2)
	if request.Parent().IsValid() {
		t.Error("the request's span has a parent")
	}
	if s := request.Status(); s.Code != codes.Error || s.Description != "VU: sql-query: no such table" {
		t.Errorf("status %v, want the failed agent's words", s)
	}
	found := false
	for _, call := range calls {
		if call.Parent().SpanID() != request.SpanContext().SpanID() {
			t.Errorf("a call is under %s, want the request", call.Parent().SpanID())
		}
		if call.SpanContext().SpanID() == asked.Span {
			found = true
			if s := call.Status(); s.Code == codes.Error {
				t.Errorf("the call that was answered has status %v", s)
			}
		} else if s := call.Status(); s.Description != "sql-query: no such table" {
			t.Errorf("the call that failed has status %v", s)
		}
	}
	if !found || asked.ID != request.SpanContext().TraceID() {
		t.Errorf("the agent was asked under %+v, want the call to it", asked)
	}
}
