package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// maxAnswerBytes limits what one agent may answer; it is held in memory.
const maxAnswerBytes = 256 << 20

// answer is what the client gets.
type answer struct {
	JobID     string       `json:"jobId"`
	Responses []string     `json:"responses"` // of the agents that answered, in the order of their names
	Errors    []agentError `json:"errors,omitempty"`
}

// agentError says why an agent gave no answer.
type agentError struct {
	Provider string `json:"provider"`
	Status   int    `json:"status"` // HTTP status of the agent; 0 when it couldn't be reached, or isn't online
	Error    string `json:"error"`
}

// collect sends the data request to every agent that the approval names, all at once, and gathers their answers.
func (g *gateway) collect(ctx context.Context, req *request, approval *pb.RequestApprovalResponse) answer {
	ctx, cancel := context.WithTimeout(ctx, g.dataTimeout)
	defer cancel()

	providers := slices.Sorted(maps.Keys(approval.GetAuthorizedProviders()))
	bodies := make([]string, len(providers))
	failures := make([]*agentError, len(providers))
	var calls sync.WaitGroup
	for i, provider := range providers {
		calls.Go(func() {
			ctx, span := trace.Start(ctx, trace.Client, "call agent", trace.Agent(provider), trace.Job(approval.GetJobId()))
			var err error
			if bodies[i], err = g.ask(ctx, req, approval, provider); err != nil {
				failures[i] = &agentError{Provider: provider, Error: err.Error()}
				if refused, ok := errors.AsType[*refusal](err); ok {
					failures[i].Status = refused.status
				}
			}
			span.End(err)
		})
	}
	calls.Wait()

	collected := answer{JobID: approval.GetJobId(), Responses: []string{}}
	for i := range providers {
		if failures[i] != nil {
			collected.Errors = append(collected.Errors, *failures[i])
		} else {
			collected.Responses = append(collected.Responses, bodies[i])
		}
	}
	return collected
}

// refusal is an answer of an agent that is none: its HTTP status, and why.
type refusal struct {
	status  int
	problem string
}

func (r *refusal) Error() string { return r.problem }

// ask sends the data request to one agent, and returns its answer.
func (g *gateway) ask(ctx context.Context, req *request, approval *pb.RequestApprovalResponse, provider string) (string, error) {
	body, err := dataRequest(ctx, req, approval.GetJobId())
	if err != nil {
		return "", err
	}
	address := fmt.Sprintf("http://%s:%s/agent/v1/%s/%s",
		approval.GetAuthorizedProviders()[provider], g.agentPort, url.PathEscape(req.Type), strings.ToLower(provider))
	status, text, err := g.call(ctx, address, approval.GetAuth().GetAccessToken(), body)
	switch {
	case err != nil && status != 0:
		return "", &refusal{status, err.Error()}
	case err != nil:
		return "", err
	case status != http.StatusOK:
		return "", &refusal{status, strings.TrimSpace(text)}
	case text == "":
		return "", &refusal{status, "the agent's answer is empty"}
	}
	return text, nil
}

// dataRequest is the client's data_request with the user and the job in it. What the client put there is replaced.
func dataRequest(ctx context.Context, req *request, job string) ([]byte, error) {
	user, err := json.Marshal(map[string]string{"id": req.User.ID, "user_name": req.User.UserName})
	if err != nil {
		return nil, fmt.Errorf("encode user: %w", err)
	}
	metadata, err := json.Marshal(map[string]any{"job_id": job, "traces": rpc.BinaryOf(ctx)})
	if err != nil {
		return nil, fmt.Errorf("encode request metadata: %w", err)
	}
	fields := maps.Clone(req.DataRequest)
	delete(fields, "request_metadata") // the other spelling of the key below
	fields["user"] = user
	fields["requestMetadata"] = metadata
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("encode data request: %w", err)
	}
	return body, nil
}

// call posts a data request to an agent.
func (g *gateway) call(ctx context.Context, address, token string, body []byte) (status int, text string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "bearer "+token)
	response, err := g.agents.Do(r)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		// It may have begun; asking again would run the chain twice.
		return 0, "", fmt.Errorf("the agent ended before it answered: %w", err)
	}
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswerBytes+1))
	if err != nil {
		return response.StatusCode, "", fmt.Errorf("read answer: %w", err)
	}
	if len(content) > maxAnswerBytes {
		return response.StatusCode, "", fmt.Errorf("answer is larger than %d bytes", maxAnswerBytes)
	}
	return response.StatusCode, string(content), nil
}
