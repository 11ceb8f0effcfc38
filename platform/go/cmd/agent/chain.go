package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
)

// chain chooses the services that an agent runs for a request type in its role, in the order in which data pass
// through them: those required, and those that an option asks for. It is read from the store each time, so that a
// change of the launch files holds for the next request.
func (a *agent) chain(ctx context.Context, requestType, role string, options map[string]bool) ([]string, error) {
	kind, found, err := etcd.Get[etcd.RequestType](ctx, a.store, etcd.RequestTypeKey(requestType))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("request type %q is not defined", requestType)
	}
	names := wanted(kind, options)
	services := make([]etcd.Microservice, len(names))
	group, reading := errgroup.WithContext(ctx)
	for i, name := range names {
		group.Go(func() error {
			service, found, err := etcd.Get[etcd.Microservice](reading, a.store, etcd.MicroserviceKey(name))
			if err == nil && !found {
				err = fmt.Errorf("service %q of request type %q is not defined", name, requestType)
			}
			services[i] = service
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var selected []etcd.Microservice
	for _, service := range services {
		if strings.EqualFold(role, roleAll) || strings.EqualFold(role, service.Label) {
			selected = append(selected, service)
		}
	}
	if len(selected) == 0 {
		return nil, fmt.Errorf("request type %q has no service for role %q", requestType, role)
	}
	return order(selected)
}

// wanted lists the services of a request type: the required ones, then the optional ones whose option is true, by
// name. Options are compared without regard to case.
func wanted(kind etcd.RequestType, options map[string]bool) []string {
	services := slices.Clone(kind.RequiredServices)
	for _, service := range slices.Sorted(maps.Keys(kind.OptionalServices)) {
		for option, on := range options {
			if on && strings.EqualFold(option, kind.OptionalServices[service]) && !slices.Contains(services, service) {
				services = append(services, service)
			}
		}
	}
	return services
}

// order sorts services so that each comes before those that its allowed outputs name. Among services that no output
// decides about, the order given stays.
func order(services []etcd.Microservice) ([]string, error) {
	waitsFor := map[string]int{}
	for _, s := range services {
		for _, next := range s.AllowedOutputs {
			waitsFor[next]++
		}
	}
	var chain []string
	for left := slices.Clone(services); len(left) > 0; {
		i := slices.IndexFunc(left, func(s etcd.Microservice) bool { return waitsFor[s.Name] == 0 })
		if i < 0 {
			return nil, fmt.Errorf("the allowed outputs of %s form a cycle", join(left))
		}
		for _, next := range left[i].AllowedOutputs {
			waitsFor[next]--
		}
		chain = append(chain, left[i].Name)
		left = slices.Delete(left, i, i+1)
	}
	return chain, nil
}

func join(services []etcd.Microservice) string {
	var names []string
	for _, s := range services {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}
