package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const gatewayQueue = "api-gateway-in"

// Roles of an agent in a job.
const (
	roleAll             = "all"
	roleDataProvider    = "dataProvider"
	roleComputeProvider = "computeProvider"
)

// orchestrator answers validated requests.
type orchestrator struct {
	store     etcd.Store
	sidecar   pb.RabbitMQClient
	revisions revisions
}

func (o *orchestrator) handlers() service.Handlers {
	return service.Handlers{
		"validationResponse": service.On(o.compose),
		"policyUpdate":       service.On(o.policyUpdated),
	}
}

// compose turns a validated request into composition requests for the agents, and answers the gateway. There is
// always an answer with the user in it: whom to call, or why that can't be. An answer with an error carries the
// tokens only when the request was approved, so that "not allowed" and "allowed but not possible" can be told apart; and
// the agents that would be needed and are away, without an address.
func (o *orchestrator) compose(ctx context.Context, validation *pb.ValidationResponse) error {
	ctx, span := trace.Start(ctx, trace.Internal, "compose")
	answer := &pb.RequestApprovalResponse{
		Type:            "requestApprovalResponse",
		User:            validation.GetUser(),
		RequestMetadata: &pb.RequestMetadata{DestinationQueue: gatewayQueue},
	}
	if len(validation.GetValidDataproviders()) == 0 || !validation.GetRequestApproved() {
		answer.Error = fmt.Sprintf("request denied: no agreement allows it to %q (asked: %s)",
			validation.GetUser().GetUserName(), strings.Join(validation.GetInvalidDataproviders(), ", "))
	} else {
		answer.Auth = validation.GetAuth()
		if err := o.distribute(ctx, validation, answer); err != nil {
			answer.Error = "request approved, but not possible: " + err.Error()
			answer.AuthorizedProviders, answer.JobId = nil, ""
			if away, ok := errors.AsType[*awayError](err); ok {
				answer.AuthorizedProviders = map[string]string{}
				for _, name := range away.agents {
					answer.AuthorizedProviders[name] = "" // it has no address now
				}
			}
		}
	}
	slog.InfoContext(ctx, "request answered", "user", answer.GetUser().GetUserName(), "job", answer.JobId,
		"agents", slices.Sorted(maps.Keys(answer.AuthorizedProviders)), "error", answer.Error)
	span.Set(trace.Job(answer.JobId))
	var problem error
	if answer.Error != "" {
		problem = errors.New(answer.Error)
	}
	span.End(problem)
	if _, err := o.sidecar.SendRequestApprovalResponse(ctx, answer); err != nil {
		return fmt.Errorf("answer the gateway: %w", err)
	}
	return nil
}

// distribute chooses the archetype, sends each agent its part, and puts job and agents to call into answer.
func (o *orchestrator) distribute(ctx context.Context, validation *pb.ValidationResponse, answer *pb.RequestApprovalResponse) error {
	providers := validation.GetValidDataproviders()
	stored, err := etcd.List[etcd.Archetype](ctx, o.store, etcd.ArchetypePrefix)
	if err != nil {
		return err
	}
	archetype, err := selectArchetype(stored, providers, validation.GetOptions())
	if err != nil {
		return err
	}
	requests, authorized, err := o.assign(ctx, archetype, providers)
	if err != nil {
		return err
	}
	answer.JobId = jobName(validation.GetUser().GetUserName())
	answer.AuthorizedProviders = authorized
	group, sending := errgroup.WithContext(ctx)
	for _, request := range requests {
		request.RequestType = validation.GetRequestType()
		request.User = validation.GetUser()
		request.JobName = answer.JobId
		group.Go(func() error {
			if _, err := o.sidecar.SendCompositionRequest(sending, request); err != nil {
				return fmt.Errorf("send composition request to %s: %w", request.DestinationQueue, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// compositions says what each agent has to do, in the order of their names, and whom the gateway has to call: every
// provider, or the third party alone.
func compositions(archetype etcd.Archetype, providers map[string]*pb.DataProvider, online map[string]etcd.Agent) (
	requests []*pb.CompositionRequest, authorized map[string]string, err error,
) {
	role := roleAll
	if archetype.ThirdParty() {
		role = roleDataProvider
	}
	authorized = map[string]string{}
	dataProviders := slices.Sorted(maps.Keys(providers))
	var away []string
	for _, name := range dataProviders {
		if _, ok := online[name]; !ok {
			away = append(away, name)
		}
		requests = append(requests, &pb.CompositionRequest{
			ArchetypeId: archetype.Name, Role: role, DestinationQueue: online[name].RoutingKey,
		})
		authorized[name] = online[name].DNS
	}
	if len(away) > 0 {
		return nil, nil, &awayError{"data provider", away}
	}
	if !archetype.ThirdParty() {
		return requests, authorized, nil
	}
	party, err := selectThirdParty(providers, online)
	if err != nil {
		return nil, nil, err
	}
	requests = append(requests, &pb.CompositionRequest{
		ArchetypeId: archetype.Name, Role: roleComputeProvider, DataProviders: dataProviders, DestinationQueue: party.RoutingKey,
	})
	return requests, map[string]string{party.Name: party.DNS}, nil
}
