package main

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
)

// The tokens are placeholders: agents ask for one and check none.
const (
	accessToken  = "1234"
	refreshToken = "1234"
)

const orchestratorQueue = "orchestrator-in"

// enforcer answers requests for approval and for revalidation.
type enforcer struct {
	store   etcd.Store
	sidecar pb.RabbitMQClient
}

func (e *enforcer) handlers() service.Handlers {
	return service.Handlers{
		"requestApproval": service.On(e.approve),
		"policyUpdate":    service.On(e.update),
	}
}

// approve answers a request for approval. There is always an answer, with the user and the options in it.
func (e *enforcer) approve(ctx context.Context, request *pb.RequestApproval) error {
	response, err := e.validate(ctx, approvalPatience, request.GetUser(), request.GetDataProviders())
	if err != nil {
		slog.ErrorContext(ctx, "agreements not read, nothing is approved", "error", err)
	}
	response.RequestType = request.GetType()
	response.Options = request.GetOptions()
	slog.InfoContext(ctx, "request validated", "user", request.GetUser().GetUserName(),
		"approved", response.RequestApproved, "invalid", response.InvalidDataproviders)
	if _, err := e.sidecar.SendValidationResponse(ctx, response); err != nil {
		return fmt.Errorf("send validation response: %w", err)
	}
	return nil
}

// update validates again after an agreement changed, and sends the same message back with the outcome in it. Without the
// agreements there is no outcome, and no answer: it would end jobs.
func (e *enforcer) update(ctx context.Context, update *pb.PolicyUpdate) error {
	response, err := e.validate(ctx, updatePatience, update.GetUser(), update.GetDataProviders())
	if err != nil {
		return fmt.Errorf("job %s stays as it was, agreements not read: %w", update.GetRequestMetadata().GetJobName(), err)
	}
	response.Type = "policyUpdate"
	response.RequestType = "policyUpdate"

	answer := proto.CloneOf(update)
	answer.ValidationResponse = response
	if answer.RequestMetadata == nil {
		answer.RequestMetadata = &pb.RequestMetadata{}
	}
	answer.RequestMetadata.DestinationQueue = orchestratorQueue
	answer.RequestMetadata.Traces = rpc.BinaryOf(ctx)
	if _, err := e.sidecar.SendPolicyUpdate(ctx, answer); err != nil {
		return fmt.Errorf("send policy update: %w", err)
	}
	return nil
}
