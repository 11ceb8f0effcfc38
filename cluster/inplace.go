package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// SwapImages gives containers of a workload's Pods other images, by container. The kubelet restarts just those
// containers, in place: the Pod keeps its sandbox, its address and its volumes, which takes a fraction of what replacing
// it does. It returns when all of them run, the Pods are ready and the Services that select them lead to them.
//
// A container restarts only when the reference of its image changes, whatever its content. The workload's template stays
// as it is. A Pod that somebody replaces meanwhile is followed by its successor. When a container ends badly, and failFast is
// set, the error is a *[Died] with the end of its log; when ctx's deadline passes it is a *fault.Timeout. The Pods have the
// new images then.
func (c *Client) SwapImages(ctx context.Context, workload Object, images map[string]string, failFast bool) error {
	for {
		pods, err := c.Clientset.CoreV1().Pods(namespaceOf(workload)).List(ctx, metav1.ListOptions{LabelSelector: selectorOf(workload)})
		if err != nil {
			return fmt.Errorf("list the Pods of %s: %w", workload.ID(), err)
		}
		var leaving atomic.Bool
		var g errgroup.Group
		for _, p := range pods.Items {
			if metav1.GetControllerOf(&p) == nil || metav1.GetControllerOf(&p).Kind == "Job" {
				continue
			}
			g.Go(func() error {
				replaced, err := c.swap(ctx, &p, images, failFast)
				if replaced {
					leaving.Store(true)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return fmt.Errorf("restart %s in place: %w", workload.ID(), err)
		}
		if !leaving.Load() {
			return nil
		}
		select {
		case <-ctx.Done():
			return &fault.Timeout{WaitedFor: "the Pods that come in place of those of " + workload.ID(), LastSeen: "Pods that are being deleted"}
		case <-time.After(200 * time.Millisecond): // while its Pods go, a workload may have none to watch
		}
	}
}

// steadyFor is how long containers must run before they count as started when nothing else tells: longer than the kubelet
// takes to notice that one has ended, which it looks for every second.
const steadyFor = 2500 * time.Millisecond

// swap gives one Pod other images, and reports whether it is being deleted.
func (c *Client) swap(ctx context.Context, p *corev1.Pod, images map[string]string, failFast bool) (replaced bool, err error) {
	if p.DeletionTimestamp != nil {
		return true, nil
	}
	patch, before, err := imagePatch(p, images)
	if err != nil || patch == nil {
		return false, err
	}
	began := time.Now()
	pods := c.Clientset.CoreV1().Pods(p.Namespace)
	last, err := pods.Patch(ctx, p.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("patch Pod %s: %w", p.Name, err)
	}
	changes := &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (w watch.Interface, err error) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", p.Name).String()
			return pods.Watch(ctx, o)
		},
	}
	gone := false
	follow := func(ctx context.Context, until func() bool) error {
		_, err := watchtools.Until(ctx, last.ResourceVersion, changes, func(e watch.Event) (bool, error) {
			now, ok := e.Object.(*corev1.Pod)
			if !ok {
				return false, fmt.Errorf("watch Pod %s: unexpected %T", p.Name, e.Object)
			}
			last = now
			if gone = e.Type == watch.Deleted || now.DeletionTimestamp != nil; gone {
				return true, nil
			}
			for _, s := range now.Status.ContainerStatuses {
				if failFast && died(s, before, began) {
					return false, &Died{Container: s.Name, ExitCode: s.LastTerminationState.Terminated.ExitCode, Tail: c.logOf(ctx, now, s.Name, true)}
				}
			}
			if until() {
				return true, nil
			}
			what := "wait for Pod " + p.Namespace + "/" + p.Name + " to be ready again"
			if problem := podProblem(now); problem != "" {
				what += ": " + problem
			}
			progress.Report(ctx, progress.Update{What: what})
			return false, nil
		})
		return err
	}
	err = follow(ctx, func() bool { return swapped(last, before) && isReady(last) })
	if err == nil && !gone && failFast && !probed(p, before) {
		steady, cancel := context.WithTimeout(ctx, steadyFor)
		defer cancel()
		if err = follow(steady, func() bool { return false }); err != nil && steady.Err() != nil && ctx.Err() == nil && !errors.As(err, new(*Died)) {
			err = nil
		}
	}
	if err != nil && ctx.Err() != nil {
		seen := podProblem(last) + "\n" + c.saidSince(context.WithoutCancel(ctx), last, before)
		return false, &fault.Timeout{WaitedFor: "Pod " + p.Name + " to be ready again", LastSeen: strings.TrimSpace(seen), After: time.Since(began)}
	}
	if err != nil || gone {
		return gone, err
	}
	return false, c.waitLed(ctx, last)
}

// saidSince returns what containers that took others' places have printed, those that aren't ready.
func (c *Client) saidSince(ctx context.Context, p *corev1.Pod, before map[string]replaced) string {
	var said []string
	for _, s := range p.Status.ContainerStatuses {
		old, ours := before[s.Name]
		if !ours || s.Ready || s.ContainerID == old.id {
			continue
		}
		if log := c.logOf(ctx, p, s.Name, false); log != "" {
			said = append(said, titled(s.Name, log))
		} else {
			said = append(said, s.Name+" has printed nothing")
		}
	}
	return strings.Join(said, "\n")
}

// probed reports whether one of the containers that are replaced says itself when it is ready: a sidecar's main container
// speaks for both.
func probed(p *corev1.Pod, before map[string]replaced) bool {
	return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
		_, ours := before[c.Name]
		return ours && c.ReadinessProbe != nil
	})
}

// Died is the error of a container that ended badly after it was given another image.
type Died struct {
	Container string
	ExitCode  int32
	Tail      string // the end of its log
}

// Error shows the exit code and the end of the log.
func (d *Died) Error() string {
	s := fmt.Sprintf("container %s ended with exit code %d", d.Container, d.ExitCode)
	if d.Tail != "" {
		s += "\n  " + strings.ReplaceAll(d.Tail, "\n", "\n  ")
	}
	return s
}

// died reports whether a container that replaced another at a time has ended badly. One that was ending again and again
// already goes on with the old image until the kubelet knows the new one: what it started by then doesn't count. The
// kubelet tells seconds alone, so a start within that of the change doesn't either; the next is a second away.
func died(s corev1.ContainerStatus, before map[string]replaced, changed time.Time) bool {
	old, ours := before[s.Name]
	last := s.LastTerminationState.Terminated
	if !ours || last == nil || last.ExitCode == 0 || last.ContainerID == old.id || s.ContainerID == old.id {
		return false
	}
	return old.ran || last.StartedAt.Time.After(changed.Truncate(time.Second))
}

// replaced is a container of before.
type replaced struct {
	id  string // noContainer when it isn't there yet
	ran bool
}

// imagePatch returns the patch to a Pod, nil when it has none of the containers, and the containers that will be
// replaced by it.
func imagePatch(p *corev1.Pod, images map[string]string) (patch []byte, before map[string]replaced, err error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	var operations []operation
	before = map[string]replaced{}
	for i, c := range p.Spec.Containers {
		image, ok := images[c.Name]
		if !ok || image == c.Image {
			continue
		}
		// By position, as a merge would put the containers into another order, which no Pod allows.
		at := "/spec/containers/" + strconv.Itoa(i)
		operations = append(operations, operation{"test", at + "/name", c.Name}, operation{"replace", at + "/image", image})
		before[c.Name] = replaced{id: noContainer}
		for _, s := range p.Status.ContainerStatuses {
			if s.Name == c.Name && s.ContainerID != "" {
				before[c.Name] = replaced{s.ContainerID, s.State.Running != nil}
			}
		}
	}
	if operations == nil {
		return nil, nil, nil
	}
	patch, err = json.Marshal(operations)
	return patch, before, err
}

// noContainer stands for the ID of a container that isn't there yet.
const noContainer = "none"

// swapped reports whether all containers are others than before, and run.
func swapped(p *corev1.Pod, before map[string]replaced) bool {
	left := len(before)
	for _, s := range p.Status.ContainerStatuses {
		if old, ok := before[s.Name]; ok && s.ContainerID != old.id && s.State.Running != nil {
			left--
		}
	}
	return left == 0
}
