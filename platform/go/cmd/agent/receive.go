package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// errorKey is where a chain that failed says why: "<service>: <text>". Agents put their name in front when the
// message leaves them for another.
const errorKey = "error"

// receive passes on what a chain, or a data provider's agent, sends: to this agent's own chain, to the third party
// that asked, or to the HTTP request that waits.
func (a *agent) receive(ctx context.Context, message *pb.MicroserviceCommunication) error {
	id := message.GetRequestMetadata().GetCorrelationId()
	ctx = logging.WithCorrelation(ctx, id)
	trace.Current(ctx).Set(trace.Correlation(id))
	from := message.GetRequestMetadata().GetReturnAddress()
	e, what := a.exchanges.advance(id, from, a.queue, message.GetMetadata()[errorKey] != "")
	switch {
	case what == unexpected:
		slog.InfoContext(ctx, "answer that nobody waits for is dropped")
		return nil
	case what == repeated:
		slog.InfoContext(ctx, "data provider's message came twice", "from", from)
		return nil
	case what == contribution:
		return a.passToJob(ctx, e, message)
	}
	e.span.End(failureIn(message))
	if e.returnAddress != "" {
		return a.passToThirdParty(ctx, e, message)
	}
	e.offer(message)
	return nil
}

// failureIn is why the chain failed that a message is from; nil if it didn't.
func failureIn(message *pb.MicroserviceCommunication) error {
	if text := message.GetMetadata()[errorKey]; text != "" {
		return errors.New(text)
	}
	return nil
}

// passToJob sends a data provider's message to this agent's own chain. A failure is the answer at once; it still
// goes to the chain, which counts the messages that it waits for and ends with the last.
func (a *agent) passToJob(ctx context.Context, e *exchange, message *pb.MicroserviceCommunication) error {
	if message.GetMetadata()[errorKey] != "" {
		e.offer(message)
	}
	select {
	case <-e.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	if e.jobQueue == "" {
		return nil // the request has failed, and was told so
	}
	if err := a.forward(ctx, message, e.jobQueue, a.queue); err != nil {
		e.offer(failure(err))
		return err
	}
	return nil
}

// passToThirdParty sends this agent's contribution to the agent that asked for it.
func (a *agent) passToThirdParty(ctx context.Context, e *exchange, message *pb.MicroserviceCommunication) error {
	if text := message.GetMetadata()[errorKey]; text != "" {
		message.Metadata[errorKey] = a.name + ": " + text
	}
	return a.forward(ctx, message, e.returnAddress, message.GetRequestMetadata().GetReturnAddress())
}

// forward sends message on, in place: what travels in it may be large.
func (a *agent) forward(ctx context.Context, message *pb.MicroserviceCommunication, queue, returnAddress string) error {
	message.RequestMetadata.DestinationQueue = queue
	message.RequestMetadata.ReturnAddress = returnAddress
	message.Traces = rpc.TracesOf(ctx)
	if _, err := a.sidecar.SendMicroserviceComm(ctx, message); err != nil {
		return fmt.Errorf("send to queue %s: %w", queue, err)
	}
	return nil
}
