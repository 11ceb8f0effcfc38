package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

const policyEnforcerQueue = "policyEnforcer-in"

// job is an approved job as the agents keep it.
type job struct {
	user, name string
	parts      map[string]*pb.CompositionRequest // by agent
}

// providers are the agents of the job that give data, in the order of their names.
func (j job) providers() []string {
	var providers []string
	for _, agent := range slices.Sorted(maps.Keys(j.parts)) {
		if !strings.EqualFold(j.parts[agent].GetRole(), roleComputeProvider) {
			providers = append(providers, agent)
		}
	}
	return providers
}

// jobs lists the approved jobs, by name. Agents that are away count too: they find theirs when they come back.
func (o *orchestrator) jobs(ctx context.Context) (map[string]job, error) {
	entries, err := o.store.List(ctx, etcd.JobsPrefix)
	if err != nil {
		return nil, err
	}
	jobs := map[string]job{}
	for _, e := range entries {
		agent, _, _ := strings.Cut(strings.TrimPrefix(e.Key, etcd.JobsPrefix), "/")
		if strings.HasPrefix(e.Key, etcd.QueueInfoPrefix(agent)) {
			continue
		}
		part := new(pb.CompositionRequest)
		if err := json.Unmarshal(e.Value, part); err != nil {
			return nil, fmt.Errorf("decode %s: %w", e.Key, err)
		}
		j, ok := jobs[part.GetJobName()]
		if !ok {
			j = job{part.GetUser().GetUserName(), part.GetJobName(), map[string]*pb.CompositionRequest{}}
			jobs[j.name] = j
		}
		j.parts[agent] = part
	}
	return jobs, nil
}

// agreementChanged revalidates the jobs for which the agreement's steward gives data. Those of users to whom it allows
// nothing any more end; about the others the policy enforcer is asked, whose answer [orchestrator.policyUpdated] takes.
func (o *orchestrator) agreementChanged(ctx context.Context, agreement etcd.Agreement) error {
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	var problems []error
	for _, j := range jobs {
		if !slices.Contains(j.providers(), agreement.Name) {
			continue
		}
		relation := agreement.Relations[j.user]
		if len(relation.AllowedArchetypes) == 0 || slices.Equal(relation.AllowedArchetypes, []string{""}) {
			problems = append(problems, o.end(ctx, j, agreement.Name+" allows the user nothing any more"))
			continue
		}
		_, err := o.sidecar.SendPolicyUpdate(rpc.WithTrace(ctx, rpc.NewTrace()), &pb.PolicyUpdate{
			Type:          "policyUpdate",
			User:          &pb.User{Id: relation.ID, UserName: j.user},
			DataProviders: j.providers(),
			RequestMetadata: &pb.RequestMetadata{
				DestinationQueue: policyEnforcerQueue, CorrelationId: uuid.NewString(), JobName: j.name,
			},
		})
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// policyUpdated brings a job in line with what its providers allow now. It keeps its archetype, and its compute provider, as
// long as all allow them; otherwise the agents' parts are changed as for a new request, or the job ends. Requests that run
// are carried on as they began, unless it ends.
func (o *orchestrator) policyUpdated(ctx context.Context, update *pb.PolicyUpdate) error {
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	j, ok := jobs[update.GetRequestMetadata().GetJobName()]
	if !ok {
		return nil // it has ended meanwhile
	}
	allowed := map[string]*pb.DataProvider{}
	for _, name := range j.providers() {
		provider, ok := update.GetValidationResponse().GetValidDataproviders()[name]
		if !ok {
			return o.end(ctx, j, name+" does not allow it any more")
		}
		allowed[name] = provider
	}
	stored, err := etcd.List[etcd.Archetype](ctx, o.store, etcd.ArchetypePrefix)
	if err != nil {
		return err
	}
	archetype, err := j.revisedArchetype(stored, allowed)
	if err != nil {
		return o.end(ctx, j, err.Error())
	}
	if j.fits(archetype, allowed) {
		return nil
	}
	requests, _, err := o.assign(ctx, archetype, allowed)
	if err != nil {
		return o.end(ctx, j, err.Error())
	}
	return o.recompose(ctx, j, requests)
}

// revisedArchetype is the job's own, if all providers still allow it, or another.
func (j job) revisedArchetype(stored []etcd.Archetype, allowed map[string]*pb.DataProvider) (etcd.Archetype, error) {
	for _, archetype := range stored {
		if archetype.Name == j.archetype() && allowedByAll(allowed, archetype.Name) {
			return archetype, nil
		}
	}
	return selectArchetype(stored, allowed, nil)
}

func (j job) archetype() string {
	for _, part := range j.parts {
		return part.GetArchetypeId() // all have the same
	}
	return ""
}

// fits says whether the job is already as the archetype and the providers want it.
func (j job) fits(archetype etcd.Archetype, allowed map[string]*pb.DataProvider) bool {
	if j.archetype() != archetype.Name {
		return false
	}
	for agent, part := range j.parts {
		if strings.EqualFold(part.GetRole(), roleComputeProvider) {
			return slices.Contains(commonThirdParties(allowed), agent)
		}
	}
	return !archetype.ThirdParty()
}

// recompose gives the agents of a job the parts that requests say: those that have one keep their queue, others are told
// as of a new job, and one that has no part any more forgets it.
func (o *orchestrator) recompose(ctx context.Context, j job, requests []*pb.CompositionRequest) error {
	slog.InfoContext(ctx, "agreements changed, job composed anew", "job", j.name, "archetype", requests[0].GetArchetypeId())
	left := maps.Clone(j.parts)
	for _, request := range requests {
		agent, part := j.partOf(request.GetDestinationQueue())
		if part == nil {
			request.JobName = j.name
			for _, other := range j.parts {
				request.RequestType, request.User = other.GetRequestType(), other.GetUser()
			}
			if _, err := o.sidecar.SendCompositionRequest(ctx, request); err != nil {
				return fmt.Errorf("send composition request to %s: %w", request.GetDestinationQueue(), err)
			}
			continue
		}
		delete(left, agent)
		part.ArchetypeId, part.Role, part.DataProviders = request.GetArchetypeId(), request.GetRole(), request.GetDataProviders()
		if err := etcd.Put(ctx, o.store, etcd.JobKey(agent, j.user, j.name), part); err != nil {
			return err
		}
	}
	return o.forget(ctx, left)
}

func (j job) partOf(queue string) (agent string, part *pb.CompositionRequest) {
	for agent, part := range j.parts {
		if part.GetDestinationQueue() == queue {
			return agent, part
		}
	}
	return "", nil
}

// end ends a job at all of its agents, with the requests that run: what is left of it would answer for a part only.
func (o *orchestrator) end(ctx context.Context, j job, why string) error {
	slog.WarnContext(ctx, "agreements changed, job ended", "job", j.name, "user", j.user, "reason", why)
	return o.forget(ctx, j.parts)
}

// forget ends the leases of the agents' queues. The agents see that, and remove queue and part.
func (o *orchestrator) forget(ctx context.Context, parts map[string]*pb.CompositionRequest) error {
	var problems []error
	for agent, part := range parts {
		problems = append(problems, o.store.Delete(ctx, etcd.QueueInfoKey(agent, part.GetLocalJobName())))
	}
	return errors.Join(problems...)
}
