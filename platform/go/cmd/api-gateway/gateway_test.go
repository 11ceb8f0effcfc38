package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

const validBody = `{"type":"sqlDataRequest","user":{"id":"7","userName":"ann@x"},"dataProviders":["VU","UVA","RUG"],
	"data_request":{"type":"sqlDataRequest","query":"SELECT 1","algorithm":"average","options":{"graph":false,"aggregate":false},
	"request_metadata":{"job_id":"forged"},"requestMetadata":{}}}`

// platform is everything behind the gateway: it approves as approve says, and answers as agents.
type platform struct {
	approve func(*pb.RequestApproval) *pb.RequestApprovalResponse // nil: no answer
	agents  map[string]http.HandlerFunc                           // by host
	// keepTrace says whether answers carry the request's trace, as they should.
	keepTrace bool
}

// gateway is the gateway in front of p.
func (p *platform) gateway(t *testing.T) *gateway {
	t.Helper()
	sidecar := sidecartest.New()
	g := newGateway(etcdtest.New(), sidecar, &http.Client{Transport: p})
	sidecar.OnCall = func(call sidecartest.Call) error {
		response := p.approve(call.Message.(*pb.RequestApproval))
		if response == nil {
			return nil
		}
		var traces map[string][]byte
		if p.keepTrace {
			traces = tracesOf(call)
		}
		go func() {
			envelope := sidecartest.Envelope("requestApprovalResponse", response, traces)
			if err := g.handlers()["requestApprovalResponse"](context.Background(), envelope); err != nil {
				t.Errorf("handle answer: %v", err)
			}
		}()
		return nil
	}
	return g
}

// RoundTrip lets the agents answer.
func (p *platform) RoundTrip(r *http.Request) (*http.Response, error) {
	agent, ok := p.agents[r.URL.Host]
	if !ok {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	w := httptest.NewRecorder()
	agent(w, r)
	return w.Result(), nil
}

// tracesOf is what the sidecar would pass on of a call's trace.
func tracesOf(call sidecartest.Call) map[string][]byte {
	trace, _ := rpc.TraceFrom(call.Context)
	return trace.Traces()
}

func post(g *gateway, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	g.routes().ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/requestApproval", strings.NewReader(body)))
	return w
}

func approving(agents ...string) func(*pb.RequestApproval) *pb.RequestApprovalResponse {
	return func(r *pb.RequestApproval) *pb.RequestApprovalResponse {
		authorized := map[string]string{}
		for _, name := range agents {
			authorized[name] = strings.ToLower(name)
		}
		return &pb.RequestApprovalResponse{
			Type: "requestApprovalResponse", User: r.GetUser(), Auth: &pb.Auth{AccessToken: "1234"},
			AuthorizedProviders: authorized, JobId: "ann-12345678",
		}
	}
}

func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

func TestRequestApproval(t *testing.T) {
	t.Parallel()
	var asked *pb.RequestApproval
	p := &platform{
		keepTrace: true,
		approve: func(r *pb.RequestApproval) *pb.RequestApprovalResponse {
			asked = r
			return approving("VU", "UVA")(r)
		},
		agents: map[string]http.HandlerFunc{"uva:8080": says(200, `{"men":"1.0"}`), "vu:8080": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/agent/v1/sqlDataRequest/vu" || r.Header.Get("Authorization") != "bearer 1234" || r.Header.Get("Content-Type") != "application/json" {
				t.Errorf("agent asked with %s %v", r.URL, r.Header)
			}
			body, _ := io.ReadAll(r.Body)
			data := new(pb.SqlDataRequest)
			if err := protojson.Unmarshal(body, data); err != nil {
				t.Errorf("agent can't read %s: %v", body, err)
			}
			if data.GetRequestMetadata().GetJobId() != "ann-12345678" || len(data.GetRequestMetadata().GetTraces()["binaryTrace"]) != 29 ||
				data.GetUser().GetId() != "7" || data.GetUser().GetUserName() != "ann@x" || data.GetQuery() != "SELECT 1" {
				t.Errorf("agent got %v", data)
			}
			_, _ = io.WriteString(w, `{"men":"2.0"}`)
		}},
	}
	w := post(p.gateway(t), validBody)
	want := "{\n    \"jobId\": \"ann-12345678\",\n    \"responses\": [\n        \"{\\\"men\\\":\\\"1.0\\\"}\",\n        \"{\\\"men\\\":\\\"2.0\\\"}\"\n    ]\n}"
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("answer = %d %s, want 200 %s", w.Code, w.Body, want)
	}
	if asked.GetType() != "sqlDataRequest" || asked.GetDestinationQueue() != "policyEnforcer-in" ||
		!slices.Equal(asked.GetDataProviders(), []string{"VU", "UVA", "RUG"}) || asked.GetOptions()["aggregate"] || len(asked.GetOptions()) != 2 {
		t.Errorf("approval asked with %v", asked)
	}
}

func TestRequestApprovalErrors(t *testing.T) {
	t.Parallel()
	fails := func(message string, auth *pb.Auth) func(*pb.RequestApproval) *pb.RequestApprovalResponse {
		return func(r *pb.RequestApproval) *pb.RequestApprovalResponse {
			return &pb.RequestApprovalResponse{User: r.GetUser(), Error: message, Auth: auth}
		}
	}
	both := approving("UVA", "VU")
	tests := []struct {
		name, body string
		approve    func(*pb.RequestApproval) *pb.RequestApprovalResponse
		agents     map[string]http.HandlerFunc
		status     int
		says       string
	}{
		{name: "not JSON", body: `{"type":`, status: 400, says: "JSON"},
		{name: "wrong shape", body: `{"type":1}`, status: 400, says: "type"},
		{name: "no type", body: `{}`, status: 400, says: "type is missing"},
		{name: "no user", body: `{"type":"t"}`, status: 400, says: "user.userName"},
		{name: "no providers", body: `{"type":"t","user":{"userName":"a"}}`, status: 400, says: "dataProviders"},
		{name: "no request", body: `{"type":"t","user":{"userName":"a"},"dataProviders":["UVA"]}`, status: 400, says: "data_request"},
		{name: "option is no boolean", body: strings.Replace(validBody, `"graph":false`, `"graph":"no"`, 1), status: 400, says: "options"},
		{name: "denied", body: validBody, approve: fails("request denied: RUG", nil), status: 403, says: "request denied: RUG"},
		{
			name: "agents are away", body: validBody, status: 503,
			approve: func(r *pb.RequestApproval) *pb.RequestApprovalResponse {
				return &pb.RequestApprovalResponse{
					User: r.GetUser(), Auth: &pb.Auth{}, Error: "not online", AuthorizedProviders: map[string]string{"VU": "", "UVA": ""},
				}
			},
			says: `{"error":"not online","errors":[{"provider":"UVA","status":0,"error":"not online"},{"provider":"VU","status":0,"error":"not online"}]}`,
		},
		{name: "not possible", body: validBody, approve: fails("SURF is not online", &pb.Auth{}), status: 503, says: "SURF is not online"},
		{
			name: "no approval in time", body: validBody,
			approve: func(*pb.RequestApproval) *pb.RequestApprovalResponse { return nil }, status: 408, says: "Request timed out",
		},
		{
			name: "one agent fails", body: validBody, approve: both,
			agents: map[string]http.HandlerFunc{"uva:8080": says(500, "sql-query: no such table: X\n"), "vu:8080": says(200, "42")}, status: 502,
			says: `{"jobId":"ann-12345678","responses":["42"],"errors":[{"provider":"UVA","status":500,"error":"sql-query: no such table: X"}]}`,
		},
		{
			name: "empty answer", body: validBody, approve: approving("UVA"),
			agents: map[string]http.HandlerFunc{"uva:8080": says(200, "")}, status: 502,
			says: `{"jobId":"ann-12345678","responses":[],"errors":[{"provider":"UVA","status":200,"error":"the agent's answer is empty"}]}`,
		},
		{name: "agent away", body: validBody, approve: approving("UVA"), status: 502, says: "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &platform{approve: tt.approve, agents: tt.agents, keepTrace: true}
				w := post(p.gateway(t), tt.body)
				var compact strings.Builder
				var value any
				if err := json.Unmarshal(w.Body.Bytes(), &value); err != nil {
					t.Errorf("answer %s is not JSON: %v", w.Body, err)
				}
				compact.WriteString(strings.NewReplacer("\n", "", "    ", "", `": `, `":`).Replace(w.Body.String()))
				if w.Code != tt.status || !strings.Contains(compact.String(), tt.says) {
					t.Errorf("answer = %d %s, want %d with %s", w.Code, compact.String(), tt.status, tt.says)
				}
			})
		})
	}
}

// TestRequestsOfOneUserAtOnce answers many requests of one user in another order than they came.
func TestRequestsOfOneUserAtOnce(t *testing.T) {
	t.Parallel()
	for _, keepTrace := range []bool{true, false} {
		t.Run(fmt.Sprintf("trace kept %v", keepTrace), func(t *testing.T) {
			t.Parallel()
			const n = 50
			var mu sync.Mutex
			jobs := 0
			p := &platform{
				keepTrace: keepTrace,
				approve: func(r *pb.RequestApproval) *pb.RequestApprovalResponse {
					mu.Lock()
					defer mu.Unlock()
					jobs++
					a := approving("UVA")(r)
					a.JobId = r.GetType()
					if !keepTrace { // then only the number of answers can be right
						a.JobId = "any"
					}
					return a
				},
				agents: map[string]http.HandlerFunc{"uva:8080": says(200, "42")},
			}
			g := p.gateway(t)
			var clients sync.WaitGroup
			for i := range n {
				clients.Go(func() {
					kind := fmt.Sprintf("type%d", i)
					w := post(g, strings.Replace(validBody, "sqlDataRequest", kind, 1))
					want := kind
					if !keepTrace {
						want = "any"
					}
					var got answer
					if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got.JobID != want {
						t.Errorf("answer to %s = %d %s", kind, w.Code, w.Body)
					}
				})
			}
			clients.Wait()
			if len(g.approvals.waiting) != 0 {
				t.Errorf("%d approvals still waited for", len(g.approvals.waiting))
			}
		})
	}
}

func TestLateApprovalIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &platform{approve: func(*pb.RequestApproval) *pb.RequestApprovalResponse { return nil }}
		g := p.gateway(t)
		sidecar := g.sidecar.(*sidecartest.Sidecar)
		if w := post(g, validBody); w.Code != 408 {
			t.Fatalf("answer = %d, want 408", w.Code)
		}
		late := tracesOf(<-sidecar.Calls)
		waiting, forget := g.approvals.wait(traceID{1}, "7")
		defer forget()
		envelope := sidecartest.Envelope("requestApprovalResponse", &pb.RequestApprovalResponse{User: &pb.User{Id: "7"}}, late)
		for range 3 {
			if err := g.handlers()["requestApprovalResponse"](t.Context(), envelope); err != nil {
				t.Errorf("late answer: %v", err)
			}
		}
		select {
		case <-waiting:
			t.Error("a late answer was given to another request of the user")
		case <-time.After(time.Minute):
		}
	})
}

func TestAvailableProviders(t *testing.T) {
	t.Parallel()
	store := etcdtest.New()
	_ = etcd.Put(t.Context(), store, etcd.OnlineKey("UVA"), etcd.Agent{Name: "UVA", RoutingKey: "UVA-in", DNS: "uva.uva.svc.cluster.local"})
	w := httptest.NewRecorder()
	newGateway(store, nil, nil).routes().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/api/v1/getAvailableProviders", nil))
	var got map[string]etcd.Agent
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || got["UVA"].RoutingKey != "UVA-in" {
		t.Errorf("answer = %d %s, %v", w.Code, w.Body, err)
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodOptions, "/api/v1/requestApproval", nil)
	r.Header.Set("Origin", (&url.URL{Scheme: "http", Host: "page.example"}).String())
	w := httptest.NewRecorder()
	newGateway(nil, nil, nil).routes().ServeHTTP(w, r)
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight = %d %v", w.Code, w.Header())
	}
}
