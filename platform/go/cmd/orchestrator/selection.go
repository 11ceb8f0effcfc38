package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// The option that decides between archetypes, and the archetypes it decides between. These names are fixed.
const (
	aggregateOption = "aggregate"
	computeToData   = "computeToData"
	dataThroughTTP  = "dataThroughTtp"
)

// selectArchetype chooses the archetype of a request among those that every provider allows:
//
//  1. dataThroughTtp, when the request wants its answers aggregated;
//  2. computeToData, when it explicitly wants several providers' answers apart;
//  3. otherwise the lightest; of several equally light, the first by name.
//
// It is an error when there is none. Providers must not be empty.
func selectArchetype(stored []etcd.Archetype, providers map[string]*pb.DataProvider, options map[string]bool) (etcd.Archetype, error) {
	var allowed []etcd.Archetype
	for _, archetype := range stored {
		if allowedByAll(providers, archetype.Name) {
			allowed = append(allowed, archetype)
		}
	}
	if len(allowed) == 0 {
		return etcd.Archetype{}, fmt.Errorf("no archetype is allowed by all of %s", names(providers))
	}

	if aggregate, asked := options[aggregateOption]; asked {
		wanted := ""
		switch {
		case aggregate:
			wanted = dataThroughTTP
		case len(providers) > 1:
			wanted = computeToData
		}
		if i := slices.IndexFunc(allowed, func(a etcd.Archetype) bool { return a.Name == wanted }); i >= 0 {
			return allowed[i], nil
		}
	}
	return slices.MinFunc(allowed, func(a, b etcd.Archetype) int {
		return cmp.Or(cmp.Compare(a.Weight, b.Weight), cmp.Compare(a.Name, b.Name))
	}), nil
}

func allowedByAll(providers map[string]*pb.DataProvider, archetype string) bool {
	for _, p := range providers {
		if !slices.Contains(p.GetArchetypes(), archetype) {
			return false
		}
	}
	return true
}

// selectThirdParty chooses who computes: the first, by name, of the third parties that every provider allows and
// that are online.
func selectThirdParty(providers map[string]*pb.DataProvider, online map[string]etcd.Agent) (etcd.Agent, error) {
	common := commonThirdParties(providers)
	if len(common) == 0 {
		return etcd.Agent{}, fmt.Errorf("no compute provider is allowed by all of %s", names(providers))
	}
	for _, party := range common {
		if agent, ok := online[party]; ok {
			return agent, nil
		}
	}
	return etcd.Agent{}, &awayError{"compute provider", common}
}

// commonThirdParties are the third parties that every provider allows, by name.
func commonThirdParties(providers map[string]*pb.DataProvider) []string {
	var common []string
	for i, name := range slices.Sorted(maps.Keys(providers)) {
		parties := providers[name].GetComputeProviders()
		if i == 0 {
			common = slices.Clone(parties)
			continue
		}
		common = slices.DeleteFunc(common, func(party string) bool { return !slices.Contains(parties, party) })
	}
	slices.Sort(common)
	return slices.Compact(common)
}

func names(providers map[string]*pb.DataProvider) string {
	return strings.Join(slices.Sorted(maps.Keys(providers)), ", ")
}
