package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const (
	// queueLifetime is how long a job's queue and composition request are kept after the last data request.
	queueLifetime = 600 * time.Second
	// compositionWait is how long a data request waits for its composition request, which takes another way.
	compositionWait = 6 * time.Second
)

// compose takes note of what the agent has to do in a job. The job's queue exists before the request is stored, so
// whoever finds the request can send to the queue. A job that is known already keeps its queue.
func (a *agent) compose(ctx context.Context, request *pb.CompositionRequest) error {
	trace.Current(ctx).Set(trace.Job(request.GetJobName()))
	key := etcd.JobKey(a.name, request.GetUser().GetUserName(), request.GetJobName())
	known, found, err := etcd.Get[*pb.CompositionRequest](ctx, a.store, key)
	if err != nil {
		return err
	}
	request.LocalJobName = localJobName(request.GetJobName(), a.namespace, 1)
	if found && known.GetLocalJobName() != "" {
		request.LocalJobName = known.GetLocalJobName()
	}
	if err := a.keepQueue(ctx, request); err != nil {
		return err
	}
	if err := etcd.Put(ctx, a.store, key, request); err != nil {
		return err
	}
	slog.InfoContext(ctx, "composition request stored", "job", request.GetJobName(), "role", request.GetRole())
	return nil
}

// keepQueue makes sure that a job's queue exists, and lets it live for another queueLifetime.
func (a *agent) keepQueue(ctx context.Context, request *pb.CompositionRequest) error {
	local := request.GetLocalJobName()
	if _, err := a.sidecar.CreateQueue(ctx, &pb.QueueInfo{
		QueueName: local, UserName: request.GetUser().GetUserName(), JobName: request.GetJobName(),
	}); err != nil {
		return fmt.Errorf("declare queue %s: %w", local, err)
	}
	info := etcd.Entry{Key: etcd.QueueInfoKey(a.name, local), Value: []byte(local)}
	return a.store.PutLeased(ctx, info, queueLifetime)
}

// keepQueueMeanwhile is keepQueue beside what its caller does next; kept waits for it.
func (a *agent) keepQueueMeanwhile(ctx context.Context, request *pb.CompositionRequest) (kept func() error) {
	request = proto.CloneOf(request) // the caller may change it
	done := make(chan error, 1)
	go func() { done <- a.keepQueue(ctx, request) }()
	return sync.OnceValue(func() error { return <-done })
}

var errNoJob = errors.New("no composition request")

// composition finds what the agent has to do for a user's job. It may have to wait for it. The error is errNoJob when
// there is nothing; others say that the store can't be read.
func (a *agent) composition(ctx context.Context, user, job string) (*pb.CompositionRequest, error) {
	key := etcd.JobKey(a.name, user, job)
	waiting, cancel := context.WithTimeout(ctx, compositionWait)
	defer cancel()
	request, err := etcd.Await[*pb.CompositionRequest](waiting, a.store, key)
	if err == nil || waiting.Err() == nil {
		return request, err
	}
	// A wait can't tell a key that is missing from a store that is away; a read can.
	request, found, err := etcd.Get[*pb.CompositionRequest](ctx, a.store, key)
	if err == nil && !found {
		err = errNoJob
	}
	return request, err
}

// renewQueue gives a job a new queue, because the old one may hold messages that nobody waits for any more and that
// the next Pod would take for its own. The error is errNoJob when the job has ended meanwhile: it stays so.
func (a *agent) renewQueue(ctx context.Context, request *pb.CompositionRequest) error {
	old := request.GetLocalJobName()
	n, err := strconv.Atoi(strings.TrimPrefix(old, localJobPrefix(request.GetJobName(), a.namespace)))
	if err != nil {
		return fmt.Errorf("renew queue %s: not named like a queue of job %s", old, request.GetJobName())
	}
	request.LocalJobName = localJobName(request.GetJobName(), a.namespace, n+1)
	if err := a.keepQueue(ctx, request); err != nil {
		return err
	}
	if err := a.exchangeQueue(ctx, request, old); err != nil {
		return errors.Join(err, a.store.Delete(ctx, etcd.QueueInfoKey(a.name, request.GetLocalJobName()))) // the new one goes again
	}
	return nil
}

// exchangeQueue puts a job's new queue in the place of the old one, whose lease it ends: then expireQueues deletes that. The
// rest of the composition request stays as it is stored, which may be otherwise since it was read. A lease that has ended
// already is the end of the job.
func (a *agent) exchangeQueue(ctx context.Context, request *pb.CompositionRequest, old string) error {
	key := etcd.JobKey(a.name, request.GetUser().GetUserName(), request.GetJobName())
	lease := etcd.Change{Key: etcd.QueueInfoKey(a.name, old)}
	for {
		stored, err := a.store.Get(ctx, key)
		if err != nil {
			return err
		}
		if lease.Old, err = a.store.Get(ctx, lease.Key); err != nil {
			return err
		}
		if stored == nil || lease.Old == nil {
			return errNoJob
		}
		renewed := new(pb.CompositionRequest)
		if err := json.Unmarshal(stored, renewed); err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
		renewed.LocalJobName = request.GetLocalJobName()
		value, err := json.Marshal(renewed)
		if err != nil {
			return fmt.Errorf("encode %s: %w", key, err)
		}
		if done, err := a.store.Swap(ctx, etcd.Change{Key: key, Old: stored, New: value}, lease); done || err != nil {
			return err
		}
	}
}

// expireQueues deletes the queue and the composition request of each job whose lease has ended, those that ended
// while no agent ran included. It returns when ctx ends.
func (a *agent) expireQueues(ctx context.Context) error {
	if err := a.expireForgotten(ctx); err != nil {
		slog.WarnContext(ctx, "jobs that ended meanwhile not removed", "error", err)
	}
	prefix := etcd.QueueInfoPrefix(a.name)
	for event := range a.store.Watch(ctx, prefix) {
		if !event.Deleted {
			continue
		}
		if err := a.expire(ctx, strings.TrimPrefix(event.Key, prefix)); err != nil && ctx.Err() == nil {
			slog.WarnContext(ctx, "ended job not removed", "key", event.Key, "error", err)
		}
	}
	return nil
}

// expireForgotten removes the jobs that have no queue lease.
func (a *agent) expireForgotten(ctx context.Context) error {
	// In this order: a lease is older than the request that it belongs to, so that none is missed of a job that is
	// composed just now.
	requests, err := a.compositions(ctx)
	if err != nil {
		return err
	}
	leases, err := a.store.List(ctx, etcd.QueueInfoPrefix(a.name))
	if err != nil {
		return err
	}
	alive := map[string]bool{}
	for _, lease := range leases {
		alive[string(lease.Value)] = true
	}
	var problems []error
	for _, request := range requests {
		if local := request.GetLocalJobName(); !alive[local] {
			problems = append(problems, a.expire(ctx, local))
		}
	}
	return errors.Join(problems...)
}

// expire deletes a queue, and the composition request that names it. A data request that uses it fails.
func (a *agent) expire(ctx context.Context, local string) error {
	requests, err := a.compositions(ctx)
	if err != nil {
		return err
	}
	for key, request := range requests {
		if request.GetLocalJobName() != local {
			continue
		}
		if err := a.store.Delete(ctx, key); err != nil {
			return err
		}
		a.forgetStarts(request.GetJobName())
	}
	a.exchanges.queueGone(local)
	slog.InfoContext(ctx, "job ended, its queue is deleted", "queue", local)
	if _, err := a.sidecar.DeleteQueue(ctx, &pb.QueueInfo{QueueName: local}); err != nil {
		return fmt.Errorf("delete queue %s: %w", local, err)
	}
	return nil
}

// compositions lists all stored composition requests of this agent by their keys.
func (a *agent) compositions(ctx context.Context) (map[string]*pb.CompositionRequest, error) {
	entries, err := a.store.List(ctx, etcd.JobPrefix(a.name))
	if err != nil {
		return nil, err
	}
	requests := map[string]*pb.CompositionRequest{}
	for _, e := range entries {
		if strings.HasPrefix(e.Key, etcd.QueueInfoPrefix(a.name)) {
			continue
		}
		request := new(pb.CompositionRequest)
		if err := json.Unmarshal(e.Value, request); err != nil {
			return nil, fmt.Errorf("decode %s: %w", e.Key, err)
		}
		requests[e.Key] = request
	}
	return requests, nil
}
