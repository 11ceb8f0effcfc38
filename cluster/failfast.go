package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WaitStarted waits as [Client.WaitReady] does, but no longer once a Pod that was made since a time can't start: when its
// image isn't there, or a container of it ends badly again and again. The error has the end of its log. It is for a
// change to a platform that stood: everything that the Pod could wait for is there.
func (c *Client) WaitStarted(ctx context.Context, objects []Object, since time.Time) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.hopeless(ctx, objects, since.Truncate(time.Second)); err != nil {
			cancel(err)
		}
	}()
	err := c.WaitReady(ctx, objects)
	cause := context.Cause(ctx)
	cancel(nil)
	<-ended
	if err != nil && errors.Is(cause, errHopeless) {
		return cause
	}
	return err
}

// errHopeless marks what no wait mends.
var errHopeless = errors.New("can't start")

// hopeless returns as soon as a Pod of the objects can't start, and nil when ctx ends before.
func (c *Client) hopeless(ctx context.Context, objects []Object, since time.Time) error {
	tick := time.NewTicker(500 * time.Millisecond) // for as long as somebody waits
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, o := range objects {
			if !IsWorkload(o) {
				continue
			}
			pods, err := c.Clientset.CoreV1().Pods(namespaceOf(o)).List(ctx, metav1.ListOptions{LabelSelector: selectorOf(o)})
			if err != nil {
				continue // the wait itself tells, should it last
			}
			for _, p := range pods.Items {
				// Of an older one, which is about to be replaced, the change is not to blame.
				if p.DeletionTimestamp != nil || p.CreationTimestamp.Time.Before(since) {
					continue
				}
				if problem := startProblem(&p); problem != "" {
					err := fmt.Errorf("%s %w: Pod %s, %s", o.ID(), errHopeless, p.Name, problem)
					if tail := c.failedLog(context.WithoutCancel(ctx), &p); tail != "" {
						err = fmt.Errorf("%w\n  %s", err, tail)
					}
					return err
				}
			}
		}
	}
}

// crashes is how often a container may end badly: one that starts before what it needs does so once.
const crashes = 2

// startProblem says why a Pod will never run; "" when it may.
func startProblem(p *corev1.Pod) string {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if w := s.State.Waiting; w != nil {
			switch w.Reason {
			case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError":
				return podProblem(p)
			}
		}
		last := s.LastTerminationState.Terminated
		if s.State.Terminated != nil {
			last = s.State.Terminated
		}
		if last != nil && last.ExitCode != 0 && s.RestartCount >= crashes {
			return fmt.Sprintf("container %s ended %d times, at last with exit code %d", s.Name, s.RestartCount, last.ExitCode)
		}
	}
	return ""
}
