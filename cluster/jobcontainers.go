package cluster

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// JobPod is what is known of a Pod of a Job in which a container has ended by itself.
type JobPod struct {
	Succeeded bool    // all of its containers ended well
	Ended     []Ended // containers, in the order in which they ended
}

// Ended is one of them.
type Ended struct {
	Container string
	Image     string // as the Pod asked for it
	ImageID   string // what it ran
	ExitCode  int32
	Started   time.Time // in whole seconds, as the kubelet tells it
	Finished  time.Time // likewise
	Log       func(ctx context.Context) string

	port int // see chainPort
}

// FollowJobs tells of the Pods of Jobs whenever something has become known of one, those that are there first, until told
// returns true or ctx ends. Pods that are being deleted don't count: their containers were told to end.
func (c *Client) FollowJobs(ctx context.Context, told func(JobPod) (enough bool)) error {
	pods := c.Clientset.CoreV1().Pods(metav1.NamespaceAll)
	selected := func(o *metav1.ListOptions) { o.LabelSelector = "batch.kubernetes.io/job-name" }
	changes := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			selected(&o)
			return pods.List(ctx, o)
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			selected(&o)
			return pods.Watch(ctx, o)
		},
	}
	_, err := watchtools.UntilWithSync(ctx, cache.ToListWatcherWithWatchListSemantics(changes, c.Clientset), &corev1.Pod{}, nil, func(e watch.Event) (bool, error) {
		p, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type == watch.Deleted || p.DeletionTimestamp != nil {
			return false, nil
		}
		pod := JobPod{Succeeded: p.Status.Phase == corev1.PodSucceeded, Ended: c.ended(p)}
		return len(pod.Ended) > 0 && told(pod), nil
	})
	if err != nil {
		return fmt.Errorf("follow the Pods of Jobs: %w", err)
	}
	return nil
}

// ended returns the containers of a Pod that have ended. Of one that runs again, its image's ID is another's.
func (c *Client) ended(p *corev1.Pod) (out []Ended) {
	for _, s := range p.Status.ContainerStatuses {
		end := s.State.Terminated
		if end == nil && s.State.Waiting != nil {
			end = s.LastTerminationState.Terminated
		}
		if end == nil {
			continue
		}
		out = append(out, Ended{
			Container: s.Name, Image: askedFor(p, s.Name), ImageID: s.ImageID, ExitCode: end.ExitCode, Started: end.StartedAt.Time, Finished: end.FinishedAt.Time, port: chainPort(p, s.Name),
			Log: func(ctx context.Context) string {
				if end.Message != "" {
					return fault.Tail([]byte(end.Message), 15)
				}
				return c.logOf(ctx, p, s.Name, s.State.Terminated == nil)
			},
		})
	}
	slices.SortStableFunc(out, func(a, b Ended) int { return a.Finished.Compare(b.Finished) })
	return out
}

// FirstFailed returns the containers that ended badly before any other did, in the same second if they are several.
func (p JobPod) FirstFailed() (out []Ended) {
	for _, e := range p.Ended {
		if e.ExitCode != 0 && (len(out) == 0 || e.Finished.Equal(out[0].Finished)) {
			out = append(out, e)
		}
	}
	return out
}

// longBefore is far above what a container takes to end once it has handed its message to the next.
const longBefore = 10 * time.Second

// LeftWaiting reports whether a container ended well, and the one before it in the chain, of which it gets its message, only long
// after. That one may have waited for it in vain; or it has handed the message over, and is slow to end: from outside it can't
// be told.
func (p JobPod) LeftWaiting(e Ended) (before Ended, ok bool) {
	for _, b := range p.Ended {
		if e.ExitCode == 0 && e.port > 0 && b.port == e.port-1 && b.Finished.Sub(e.Finished) >= longBefore {
			return b, true
		}
	}
	return Ended{}, false
}

// chainPort is the port at which a container of a chain gets its message: those of one chain have consecutive ones, and the
// sidecar another. 0 when it has none.
func chainPort(p *corev1.Pod, container string) int {
	for _, c := range p.Spec.Containers {
		for _, e := range c.Env {
			if c.Name == container && e.Name == "DESIGNATED_GRPC_PORT" {
				port, _ := strconv.Atoi(e.Value)
				return port
			}
		}
	}
	return 0
}

// askedFor is the image that a Pod asks for in a container: the status may have another name of it.
func askedFor(p *corev1.Pod, container string) string {
	for _, c := range p.Spec.Containers {
		if c.Name == container {
			return c.Image
		}
	}
	return ""
}
