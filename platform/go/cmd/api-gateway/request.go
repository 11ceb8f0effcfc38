package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const policyEnforcerQueue = "policyEnforcer-in"

// request is the body of a request for approval.
type request struct {
	Type string `json:"type"`
	User struct {
		ID       string `json:"ID"`
		UserName string `json:"userName"`
	} `json:"user"`
	DataProviders []string `json:"dataProviders"`
	// DataRequest is what the agents get. It stays as the client wrote it, but for the keys that the gateway sets.
	DataRequest map[string]json.RawMessage `json:"data_request"`
	options     map[string]bool            // of DataRequest
}

// parse decodes a request and says what is wrong with it.
func parse(r *http.Request) (*request, error) {
	req := new(request)
	if err := json.NewDecoder(r.Body).Decode(req); err != nil {
		return nil, fmt.Errorf("request is not valid JSON of the expected shape: %w", err)
	}
	switch {
	case req.Type == "":
		return nil, errors.New("type is missing")
	case req.User.UserName == "":
		return nil, errors.New("user.userName is missing")
	case len(req.DataProviders) == 0:
		return nil, errors.New("dataProviders is missing or empty")
	case req.DataRequest == nil:
		return nil, errors.New("data_request is missing")
	}
	if raw, ok := req.DataRequest["options"]; ok {
		if err := json.Unmarshal(raw, &req.options); err != nil {
			return nil, fmt.Errorf("data_request.options has to be an object of booleans: %w", err)
		}
	}
	return req, nil
}

// requestApproval answers a request with what the agents made of it: 400 for a request that makes no sense, 403 for
// one that no agreement allows, 503 for one that is allowed but can't be carried out now, 408 when no approval came
// in time, 502 when an agent failed.
func (g *gateway) requestApproval(w http.ResponseWriter, r *http.Request) {
	ctx, span := trace.Start(r.Context(), trace.Server, r.Method+" "+r.URL.Path)
	status, body := g.answer(ctx, r)
	span.Answered(status, problemIn(body))
	writeJSON(w, status, body)
}

// answer is the HTTP status and the body of the answer to a request for approval.
func (g *gateway) answer(ctx context.Context, r *http.Request) (status int, body any) {
	req, err := parse(r)
	if err != nil {
		return http.StatusBadRequest, impossible{Error: err.Error()}
	}
	approval, err := g.approve(ctx, req)
	trace.Current(ctx).Set(trace.Job(approval.GetJobId()))
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusRequestTimeout, impossible{Error: "Request timed out: no approval in time"}
	case err != nil:
		slog.ErrorContext(ctx, "approval not requested", "error", err)
		return http.StatusServiceUnavailable, impossible{Error: err.Error()}
	case approval.GetError() != "" && approval.GetAuth() == nil:
		return http.StatusForbidden, impossible{Error: approval.GetError()}
	case approval.GetError() != "":
		return http.StatusServiceUnavailable, notPossible(approval)
	}
	answer := g.collect(ctx, req, approval)
	if len(answer.Errors) > 0 {
		slog.WarnContext(ctx, "agents failed", "job", answer.JobID, "errors", answer.Errors)
		return http.StatusBadGateway, answer
	}
	return http.StatusOK, answer
}

// impossible is the answer to a request that is not approved, or can't be carried out.
type impossible struct {
	Error  string       `json:"error"`
	Errors []agentError `json:"errors,omitempty"` // of the agents that are away, in the order of their names
}

// problemIn is what went wrong, in the words of an answer.
func problemIn(body any) string {
	switch body := body.(type) {
	case impossible:
		return body.Error
	case answer:
		var problems []string
		for _, e := range body.Errors {
			problems = append(problems, e.Provider+": "+e.Error)
		}
		return strings.Join(problems, "; ")
	}
	return ""
}

// notPossible tells which agents are away: those that the orchestrator names, and has no address for.
func notPossible(approval *pb.RequestApprovalResponse) impossible {
	answer := impossible{Error: approval.GetError()}
	for _, agent := range slices.Sorted(maps.Keys(approval.GetAuthorizedProviders())) {
		answer.Errors = append(answer.Errors, agentError{Provider: agent, Error: "not online"})
	}
	return answer
}

// approve asks the policy enforcer for approval and waits for the orchestrator's answer.
func (g *gateway) approve(ctx context.Context, req *request) (*pb.RequestApprovalResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, g.approvalTimeout)
	defer cancel()
	own, _ := rpc.TraceFrom(ctx) // every request has its own
	answer, forget := g.approvals.wait(own.ID, req.User.ID)
	defer forget()
	if _, err := g.sidecar.SendRequestApproval(ctx, &pb.RequestApproval{
		Type:             req.Type,
		User:             req.user(),
		DataProviders:    req.DataProviders,
		DestinationQueue: policyEnforcerQueue,
		Options:          req.options,
	}); err != nil {
		return nil, fmt.Errorf("ask for approval: %w", err)
	}
	select {
	case response := <-answer:
		return response, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (req *request) user() *pb.User { return &pb.User{Id: req.User.ID, UserName: req.User.UserName} }
