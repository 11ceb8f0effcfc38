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
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
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

// jobs lists the approved jobs, by name. Agents that are away count too: they find theirs when they come back. A part whose
// queue has no lease is none any more: its agent is about to remove it, or will when it is back.
func (o *orchestrator) jobs(ctx context.Context) (map[string]job, error) {
	entries, err := o.store.List(ctx, etcd.JobsPrefix)
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Key] = true
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
		if !there[etcd.QueueInfoKey(agent, part.GetLocalJobName())] {
			continue
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
func (o *orchestrator) agreementChanged(ctx context.Context, agreement etcd.Agreement) (err error) {
	ctx, span := trace.Start(ctx, trace.Internal, "agreement changed")
	defer func() { span.End(err) }()
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	o.revisions.keep(jobs)
	var problems []error
	for _, j := range jobs {
		if !slices.Contains(j.providers(), agreement.Name) {
			continue
		}
		question := uuid.NewString()
		o.revisions.ask(j.name, question)
		relation := agreement.Relations[j.user]
		if len(relation.AllowedArchetypes) == 0 || slices.Equal(relation.AllowedArchetypes, []string{""}) {
			problems = append(problems, o.change(ctx, j, question, func(j job) error {
				return o.end(ctx, j, agreement.Name+" allows the user nothing any more")
			}))
			continue
		}
		_, err := o.sidecar.SendPolicyUpdate(ctx, &pb.PolicyUpdate{
			Type:          "policyUpdate",
			User:          &pb.User{Id: relation.ID, UserName: j.user},
			DataProviders: j.providers(),
			RequestMetadata: &pb.RequestMetadata{
				DestinationQueue: policyEnforcerQueue, CorrelationId: question, JobName: j.name,
			},
		})
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// policyUpdated brings a job in line with what its providers allow now. It keeps its archetype, and its compute provider, as
// long as all allow them; otherwise the agents' parts are changed as for a new request, or the job ends. That is also what
// becomes of one whose change can't be carried out: as it is nobody allows it. Requests that run are carried on as they
// began, except at agents that have no part in the job any more: there they fail.
func (o *orchestrator) policyUpdated(ctx context.Context, update *pb.PolicyUpdate) error {
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	j, ok := jobs[update.GetRequestMetadata().GetJobName()]
	if !ok {
		return nil // it has ended meanwhile
	}
	question := update.GetRequestMetadata().GetCorrelationId()
	if !o.revisions.latest(j.name, question) {
		slog.InfoContext(ctx, "agreements changed again, answer dropped", "job", j.name)
		return nil
	}
	if update.GetValidationResponse() == nil {
		return fmt.Errorf("policy update for job %s says nothing of its providers", j.name)
	}
	requests, why, err := o.revised(ctx, j, update.GetValidationResponse())
	if err != nil {
		return err
	}
	return o.change(ctx, j, question, func(now job) error {
		switch {
		case why != "":
			return o.end(ctx, now, why)
		case len(requests) == 0:
			return nil
		case !slices.Equal(now.providers(), j.providers()):
			return o.end(ctx, now, "a provider's part has ended meanwhile")
		default:
			return o.recompose(ctx, now, requests)
		}
	})
}

// revised is what the agents of a job have to do now: nothing new, or the requests, or why it can't go on. It may wait for
// agents. The error is of a store that can't be read.
func (o *orchestrator) revised(ctx context.Context, j job, validation *pb.ValidationResponse) (
	requests []*pb.CompositionRequest, why string, err error,
) {
	allowed := map[string]*pb.DataProvider{}
	for _, name := range j.providers() {
		provider, ok := validation.GetValidDataproviders()[name]
		if !ok {
			return nil, name + " does not allow it any more", nil
		}
		allowed[name] = provider
	}
	stored, err := etcd.List[etcd.Archetype](ctx, o.store, etcd.ArchetypePrefix)
	if err != nil {
		return nil, "", err
	}
	archetype, err := j.revisedArchetype(stored, allowed)
	if err != nil {
		return nil, err.Error(), nil
	}
	if j.fits(archetype, allowed) {
		return nil, "", nil
	}
	requests, _, err = o.assign(ctx, archetype, allowed)
	if err != nil {
		return nil, err.Error(), nil
	}
	return requests, "", nil
}

// change changes a job while nobody else does, as it is then, unless it has ended or another question about it followed.
func (o *orchestrator) change(ctx context.Context, j job, question string, do func(now job) error) error {
	defer o.revisions.lock(j.name)()
	if !o.revisions.latest(j.name, question) {
		slog.InfoContext(ctx, "agreements changed again, answer dropped", "job", j.name)
		return nil
	}
	jobs, err := o.jobs(ctx)
	if err != nil {
		return err
	}
	now, ok := jobs[j.name]
	if !ok {
		return nil
	}
	return do(now)
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
// as of a new job, and one that has no part any more forgets it, with the request that it runs.
func (o *orchestrator) recompose(ctx context.Context, j job, requests []*pb.CompositionRequest) error {
	slog.InfoContext(ctx, "agreements changed, job composed anew", "job", j.name, "archetype", requests[0].GetArchetypeId())
	left := maps.Clone(j.parts)
	for _, request := range requests {
		agent, part := j.partOf(request.GetDestinationQueue())
		delete(left, agent)
		if err := o.assignPart(ctx, j, agent, part, request); err != nil {
			// Half of it may be done, and nobody would answer for the whole.
			return errors.Join(err, o.end(context.WithoutCancel(ctx), j, err.Error()))
		}
	}
	return o.forget(ctx, j.name, func(agent string) bool { return left[agent] != nil })
}

// assignPart gives one agent its part in a job. An agent that has one may be changing the rest of it.
func (o *orchestrator) assignPart(ctx context.Context, j job, agent string, part, request *pb.CompositionRequest) error {
	if part == nil {
		request.JobName = j.name
		for _, other := range j.parts {
			request.RequestType, request.User = other.GetRequestType(), other.GetUser()
		}
		if _, err := o.sidecar.SendCompositionRequest(ctx, request); err != nil {
			return fmt.Errorf("send composition request to %s: %w", request.GetDestinationQueue(), err)
		}
		return nil
	}
	found, err := etcd.Update(ctx, o.store, etcd.JobKey(agent, j.user, j.name), func(part *pb.CompositionRequest) {
		part.ArchetypeId, part.Role, part.DataProviders = request.GetArchetypeId(), request.GetRole(), request.GetDataProviders()
	})
	if err == nil && !found {
		err = fmt.Errorf("the part of %s has ended meanwhile", agent)
	}
	return err
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
	return o.forget(ctx, j.name, func(string) bool { return true })
}

// forget ends the leases of those agents' queues for a job. The agents see that, and remove queue and part. One that gives
// its job a new queue just then has another lease, so that it looks again.
func (o *orchestrator) forget(ctx context.Context, name string, of func(agent string) bool) error {
	for {
		jobs, err := o.jobs(ctx)
		if err != nil {
			return err
		}
		done := true
		var problems []error
		for agent, part := range jobs[name].parts {
			if of(agent) {
				done = false
				problems = append(problems, o.store.Delete(ctx, etcd.QueueInfoKey(agent, part.GetLocalJobName())))
			}
		}
		if err := errors.Join(problems...); done || err != nil {
			return err
		}
	}
}
