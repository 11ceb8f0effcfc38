package main

import (
	"context"
	"log/slog"
	"sync"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// traceID tells requests apart, those of one user too. It travels with every message of the approval.
type traceID = [16]byte

// approval is one request that waits for its answer.
type approval struct {
	user   string
	number uint64                           // in order of arrival
	answer chan *pb.RequestApprovalResponse // holds the one answer, so that nobody blocks on a request that gave up
}

// approvals are the requests that wait.
type approvals struct {
	mu      sync.Mutex
	waiting map[traceID]*approval
	count   uint64
}

// wait registers a request. Its answer arrives on the channel; forget has to be called in any case.
func (a *approvals) wait(id traceID, user string) (answer <-chan *pb.RequestApprovalResponse, forget func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.count++
	waiting := &approval{user: user, number: a.count, answer: make(chan *pb.RequestApprovalResponse, 1)}
	a.waiting[id] = waiting
	return waiting.answer, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, id)
	}
}

// deliver hands an answer to the request with its trace id. An answer that lost its trace on the way goes to the
// user's request that has waited longest. It is false when there is no such request: it gave up already.
func (a *approvals) deliver(id traceID, traced bool, response *pb.RequestApprovalResponse) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !traced {
		var found bool
		if id, found = a.longestWaiting(response.GetUser().GetId()); !found {
			return false
		}
	}
	waiting, ok := a.waiting[id]
	if !ok {
		return false
	}
	delete(a.waiting, id)
	waiting.answer <- response
	return true
}

func (a *approvals) longestWaiting(user string) (oldest traceID, found bool) {
	for id, waiting := range a.waiting {
		if waiting.user == user && (!found || waiting.number < a.waiting[oldest].number) {
			oldest, found = id, true
		}
	}
	return oldest, found
}

// approved takes the orchestrator's answer to a request for approval.
func (g *gateway) approved(ctx context.Context, message *pb.SideCarMessage) error {
	response := new(pb.RequestApprovalResponse)
	if err := message.GetBody().UnmarshalTo(response); err != nil {
		return err
	}
	trace, traced := rpc.TraceOf(message.GetTraces())
	if !g.approvals.deliver(trace.ID, traced, response) {
		slog.InfoContext(ctx, "approval that nobody waits for is dropped", "user", response.GetUser().GetUserName(), "job", response.GetJobId())
	}
	return nil
}
