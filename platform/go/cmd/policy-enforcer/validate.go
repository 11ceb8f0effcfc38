package main

import (
	"context"
	"log/slog"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
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

// validate holds a user's request against the agreements of all data providers. A provider without an agreement is
// invalid like one that doesn't know the user; so is one whose agreement can't be read, since nothing may be
// approved on a guess.
func (e *enforcer) validate(ctx context.Context, user *pb.User, providers []string) *pb.ValidationResponse {
	providers = slices.Compact(slices.Sorted(slices.Values(providers)))
	verdicts := make([]*verdict, len(providers))
	var group errgroup.Group
	for i, provider := range providers {
		group.Go(func() error {
			agreement, found, err := etcd.Get[etcd.Agreement](ctx, e.store, etcd.AgreementKey(provider))
			if err != nil {
				slog.ErrorContext(ctx, "agreement not read", "provider", provider, "error", err)
				return nil
			}
			if v, ok := judge(agreement, user.GetUserName()); found && ok {
				verdicts[i] = &v
			}
			return nil
		})
	}
	_ = group.Wait() // the functions return no error

	response := &pb.ValidationResponse{
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
	return response
}
