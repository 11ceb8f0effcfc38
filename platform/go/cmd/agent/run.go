package main

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/types/known/anypb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// start runs the chain of services that a composition request and the options of a data request call for. It returns
// when the Kubernetes Job is there, and the job's queue, which it may renew.
func (a *agent) start(ctx context.Context, request *pb.CompositionRequest, requestType string, options map[string]bool, e *exchange) error {
	chain, err := a.chain(ctx, requestType, request.GetRole(), options)
	if err != nil {
		return err
	}
	return a.startChain(ctx, request, chain, e)
}

// startChain is start with a chain that was chosen before. A Pod takes long to start and the queue is declared in no
// time, so one doesn't wait for the other.
func (a *agent) startChain(ctx context.Context, request *pb.CompositionRequest, chain []string, e *exchange) error {
	e.chain = chain
	e.span.Set(trace.Chain(chain))
	kept := a.keepQueueMeanwhile(ctx, request)
	err := a.createJob(ctx, request, chain, e, kept)
	if keptErr := kept(); err == nil {
		err = keptErr
	}
	return err
}

// createJob creates the Kubernetes Job of a chain and notes it in the exchange. kept waits for the job's queue.
func (a *agent) createJob(ctx context.Context, request *pb.CompositionRequest, chain []string, e *exchange, kept func() error) error {
	tell, err := a.datasets(ctx, chain)
	if err != nil {
		return err
	}
	for {
		start := a.nextStart(request.GetJobName())
		name := kubernetesJobName(request.GetJobName(), a.namespace, start)
		job := a.manifest(name, request, chain)
		tell(job)
		created, err := a.jobs.Create(ctx, job, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			// From before this agent started, which begins to count at 1. What that request left in the queue, and a
			// Pod of it that still consumes, nobody waits for any more.
			if start == 1 {
				if err := kept(); err != nil {
					return err
				}
				if err := a.renewQueue(ctx, request); err != nil {
					return err
				}
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("create job %s: %w", name, err)
		}
		a.exchanges.runs(e, name, created.UID, request.GetLocalJobName())
		e.span.Set(trace.KubernetesJob(name))
		slog.InfoContext(ctx, "job created", "name", name, "chain", chain, "role", request.GetRole())
		return nil
	}
}

// replaceJob runs the chain of an exchange in another Kubernetes Job, because a Pod of the present one is being deleted. What
// that has not answered is in the queue again.
func (a *agent) replaceJob(ctx context.Context, request *pb.CompositionRequest, e *exchange) {
	ctx, cancel := context.WithTimeout(ctx, abandonTimeout)
	defer cancel()
	lost := e.kubernetesJob
	slog.WarnContext(ctx, "pod deleted, its job is replaced", "job", lost)
	err := a.createJob(ctx, request, e.chain, e, func() error { return nil })
	if err == nil {
		err = a.deleteJob(ctx, lost)
	}
	if err != nil {
		slog.WarnContext(ctx, "job not replaced", "error", err) // Kubernetes makes another Pod too, after ten seconds
	}
}

// nextStart counts the Kubernetes Jobs made of a job, from 1.
func (a *agent) nextStart(job string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.started[job]++
	return a.started[job]
}

// deleteJob removes a Kubernetes Job with its Pods.
func (a *agent) deleteJob(ctx context.Context, name string) error {
	err := a.jobs.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete job %s: %w", name, err)
	}
	return nil
}

func (a *agent) forgetStarts(job string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.started, job)
}

// sendToJob puts a data request into the queue of this agent's part of the job. The chain's answer comes back to
// the agent's own queue under the same correlation id.
func (a *agent) sendToJob(ctx context.Context, request *pb.CompositionRequest, data *pb.SqlDataRequest, requestType, correlation string) error {
	original, err := anypb.New(data)
	if err != nil {
		return fmt.Errorf("pack data request: %w", err)
	}
	message := &pb.MicroserviceCommunication{
		Type:            "microserviceCommunication",
		RequestType:     requestType,
		OriginalRequest: original,
		RequestMetadata: &pb.RequestMetadata{
			CorrelationId:    correlation,
			DestinationQueue: request.GetLocalJobName(),
			ReturnAddress:    a.queue,
		},
		Traces: rpc.TracesOf(ctx),
	}
	if _, err := a.sidecar.SendMicroserviceComm(ctx, message); err != nil {
		return fmt.Errorf("send to queue %s: %w", request.GetLocalJobName(), err)
	}
	return nil
}
