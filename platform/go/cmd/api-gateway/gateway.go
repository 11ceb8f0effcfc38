package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/limits"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
)

const (
	apiPrefix = "/api/v1"
	// approvalTimeout is how long a request waits for its approval.
	approvalTimeout = 30 * time.Second
	// agentMargin is how much longer than an agent may take it waits for the agents, so that theirs is the answer:
	// connecting alone may take dialPatience.
	agentMargin = 10 * time.Second
)

// gateway is the public API. Make it with newGateway.
type gateway struct {
	store           etcd.Store
	sidecar         pb.RabbitMQClient
	agents          *http.Client
	approvals       approvals
	approvalTimeout time.Duration
	dataTimeout     time.Duration
	agentPort       string
}

func newGateway(store etcd.Store, sidecar pb.RabbitMQClient, agents *http.Client) *gateway {
	return &gateway{
		store:           store,
		sidecar:         sidecar,
		agents:          agents,
		approvals:       approvals{waiting: map[traceID]*approval{}},
		approvalTimeout: approvalTimeout,
		dataTimeout:     limits.DefaultRequest + agentMargin,
		agentPort:       "8080",
	}
}

func (g *gateway) handlers() service.Handlers {
	return service.Handlers{"requestApprovalResponse": g.approved}
}

func (g *gateway) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(apiPrefix+"/requestApproval", g.requestApproval)
	mux.HandleFunc(apiPrefix+"/getAvailableProviders", g.availableProviders)
	return allowOrigins(mux)
}

// allowOrigins lets pages of any origin call the API, and answers their preflight requests.
func allowOrigins(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		}
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, Authorization")
			w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, OPTIONS")
			return
		}
		next.ServeHTTP(w, r)
	})
}

// availableProviders lists the agents that are online.
func (g *gateway) availableProviders(w http.ResponseWriter, r *http.Request) {
	agents, err := etcd.List[etcd.Agent](r.Context(), g.store, etcd.OnlinePrefix)
	if err != nil {
		slog.ErrorContext(r.Context(), "agents not listed", "error", err)
		writeError(w, http.StatusServiceUnavailable, "config store not available")
		return
	}
	online := map[string]etcd.Agent{}
	for _, agent := range agents {
		online[agent.Name] = agent
	}
	writeJSON(w, http.StatusOK, online)
}

// writeJSON answers with a value, indented for people.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.MarshalIndent(value, "", "    ")
	if err != nil { // only for values that can't be JSON; ours can
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// writeError answers with the reason why there is no other answer.
func writeError(w http.ResponseWriter, status int, problem string) {
	writeJSON(w, status, map[string]string{"error": problem})
}
