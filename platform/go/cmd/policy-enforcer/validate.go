package main

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// verdict is what one data provider's agreement says about one user.
type verdict struct {
	archetypes       []string
	computeProviders []string
}

// judge intersects an agreement with the user's relation in it, in the order of the agreement. It is false when the
// user has no relation, or no archetype is left.
func judge(agreement etcd.Agreement, userName string) (verdict, bool) {
	relation, ok := agreement.Relations[userName]
	if !ok {
		return verdict{}, false
	}
	v := verdict{
		archetypes:       intersect(agreement.Archetypes, relation.AllowedArchetypes),
		computeProviders: intersect(agreement.ComputeProviders, relation.AllowedComputeProviders),
	}
	return v, len(v.archetypes) > 0
}

// intersect returns the elements of list that allowed has too, each once, in list's order.
func intersect(list, allowed []string) []string {
	var both []string
	for _, name := range list {
		if slices.Contains(allowed, name) && !slices.Contains(both, name) {
			both = append(both, name)
		}
	}
	return both
}

// How long the store is asked again for an agreement that can't be read, and how often.
const (
	// The gateway waits 30 s for its answer, and the orchestrator may need 10 s of them to wait for agents.
	approvalPatience = 15 * time.Second
	// Nobody waits for an update, and without it a job goes on as it was: for this long after its last request.
	updatePatience = 10 * time.Minute
	readPause      = 500 * time.Millisecond
)

// agreement reads a data provider's agreement. It waits for a store that is away until ctx ends.
func (e *enforcer) agreement(ctx context.Context, provider string) (agreement etcd.Agreement, found bool, err error) {
	for {
		agreement, found, err = etcd.Get[etcd.Agreement](ctx, e.store, etcd.AgreementKey(provider))
		if err == nil {
			return agreement, found, nil
		}
		select {
		case <-time.After(readPause):
		case <-ctx.Done():
			return etcd.Agreement{}, false, err
		}
	}
}

// judgeAll reads the agreements of all providers and judges them; nil stands for a provider that is invalid. It is
// an error if one agreement can't be read.
func (e *enforcer) judgeAll(ctx context.Context, user *pb.User, providers []string) ([]*verdict, error) {
	verdicts := make([]*verdict, len(providers))
	group, ctx := errgroup.WithContext(ctx)
	for i, provider := range providers {
		group.Go(func() error {
			agreement, found, err := e.agreement(ctx, provider)
			if err != nil {
				return err
			}
			if v, ok := judge(agreement, user.GetUserName()); found && ok {
				verdicts[i] = &v
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return make([]*verdict, len(providers)), err
	}
	return verdicts, nil
}

// validate holds a user's request against the agreements of all data providers. A provider without an agreement is
// invalid like one that doesn't know the user. When an agreement can't be read, which is the error, nothing is approved:
// without that provider the request would be another one, whose answer looks like the answer to this.
func (e *enforcer) validate(ctx context.Context, patience time.Duration, user *pb.User, providers []string) (response *pb.ValidationResponse, err error) {
	ctx, span := trace.Start(ctx, trace.Internal, "validate")
	defer func() { span.End(err) }()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	providers = slices.Compact(slices.Sorted(slices.Values(providers)))
	verdicts, err := e.judgeAll(ctx, user, providers)
	response = &pb.ValidationResponse{
		Type:               "validationResponse",
		User:               user,
		ValidDataproviders: map[string]*pb.DataProvider{},
		ValidArchetypes:    &pb.UserArchetypes{UserName: user.GetUserName(), Archetypes: map[string]*pb.UserAllowedArchetypes{}},
	}
	for i, provider := range providers {
		if verdicts[i] == nil {
			response.InvalidDataproviders = append(response.InvalidDataproviders, provider)
			continue
		}
		response.ValidDataproviders[provider] = &pb.DataProvider{
			Archetypes:       verdicts[i].archetypes,
			ComputeProviders: verdicts[i].computeProviders,
		}
		response.ValidArchetypes.Archetypes[provider] = &pb.UserAllowedArchetypes{Archetypes: verdicts[i].archetypes}
	}
	if len(response.ValidDataproviders) > 0 {
		response.RequestApproved = true
		response.Auth = &pb.Auth{AccessToken: accessToken, RefreshToken: refreshToken}
	}
	return response, err
}
