package cluster

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Ended is a container of a Job's Pod that has ended by itself.
type Ended struct {
	Image   string // as its Pod asked for it
	ImageID string // what it ran
	Started time.Time
	Died    *Died // nil when it ended well
}

// FollowJobs tells of each container of the Jobs' Pods that has ended, those that are there first, until each returns true
// or ctx ends. Containers of a Pod that is being deleted were told to end, so they don't count.
func (c *Client) FollowJobs(ctx context.Context, each func(Ended) (enough bool)) error {
	changes := cache.NewFilteredListWatchFromClient(c.Clientset.CoreV1().RESTClient(), "pods", metav1.NamespaceAll, func(o *metav1.ListOptions) {
		o.LabelSelector = "batch.kubernetes.io/job-name"
	})
	told := map[string]bool{}
	_, err := watchtools.UntilWithSync(ctx, changes, &corev1.Pod{}, nil, func(e watch.Event) (bool, error) {
		p, ok := e.Object.(*corev1.Pod)
		if !ok || e.Type == watch.Deleted || p.DeletionTimestamp != nil {
			return false, nil
		}
		for _, s := range p.Status.ContainerStatuses {
			end := s.State.Terminated
			if end == nil {
				end = s.LastTerminationState.Terminated
			}
			if end == nil || told[end.ContainerID] {
				continue
			}
			told[end.ContainerID] = true
			ended := Ended{Image: askedFor(p, s.Name), ImageID: s.ImageID, Started: end.StartedAt.Time}
			if end.ExitCode != 0 {
				tail := fault.Tail([]byte(end.Message), 15)
				if tail == "" {
					tail = c.logOf(ctx, p, s.Name, s.State.Terminated == nil)
				}
				ended.Died = &Died{Container: s.Name, ExitCode: end.ExitCode, Tail: strings.TrimSpace(tail)}
			}
			if each(ended) {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("follow the Pods of Jobs: %w", err)
	}
	return nil
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
