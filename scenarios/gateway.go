package scenarios

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// answerLimit bounds what is read of an answer, in bytes: tables are large, but not that large.
const answerLimit = 256 << 20

// Gateway is a platform that is reached through its API gateway.
type Gateway struct {
	URL    string       // of the gateway, without a path: "http://localhost:8080"
	Client *http.Client // nil: http.DefaultClient. A time-out of its own is not needed: the scenario has one.
}

var _ Platform = Gateway{}

// Do posts the request for approval, which the platform answers with the data.
func (g Gateway) Do(ctx context.Context, r Request) (Answer, error) {
	url := strings.TrimSuffix(g.URL, "/") + "/api/v1/requestApproval"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(r.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("make a request to the gateway: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.GetBody = nil // net/http must not send it a second time over a new connection
	client := g.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("send the request: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, answerLimit+1))
	if err != nil {
		return Answer{Status: res.StatusCode}, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > answerLimit {
		return Answer{Status: res.StatusCode}, fmt.Errorf("read the answer: it is larger than %d bytes", answerLimit)
	}
	answer := Answer{Status: res.StatusCode}
	var approved struct {
		JobID     string   `json:"jobId"`
		Responses []string `json:"responses"`
	}
	if err := json.Unmarshal(body, &approved); err != nil || approved.Responses == nil {
		answer.Body = string(body)
		return answer, nil
	}
	answer.JobID, answer.Responses = approved.JobID, approved.Responses
	if answer.Status != http.StatusOK {
		answer.Body = string(body) // says who gave no answer, and why
	}
	return answer, nil
}
