package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WaitStarted waits as [Client.WaitReady] does, but no longer once a Pod that was made since a time can't start: when its
// image isn't there, or a container of it ends badly again and again. The error has the end of its log. It is for a
// change to a platform that stood: everything that the Pod could wait for is there.
func (c *Client) WaitStarted(ctx context.Context, objects []Object, since time.Time) error {
	since = since.Truncate(time.Second)
	return c.waitUnless(ctx, objects, func(p *corev1.Pod) string {
		// Of an older one, which is about to be replaced, the change is not to blame.
		if p.CreationTimestamp.Time.Before(since) {
			return ""
		}
		return startProblem(p)
	})
}

// WaitPulled waits as [Client.WaitReady] does, but no longer once it is clear that a Pod's image won't come. It is for a
// platform that comes up, all of whose own images are on the nodes: services may crash until all that they need is there. A Pod that
// waits for an image since earlier gets a successor first, for which the kubelet doesn't hold back.
func (c *Client) WaitPulled(ctx context.Context, objects []Object) error {
	waiting, _ := workloads(objects)
	c.dropReady(ctx, waiting, map[string]string{}) // of a platform that runs there are none left
	for _, o := range waiting {
		for _, p := range c.podsOf(ctx, o) {
			if backsOff(&p) && metav1.GetControllerOf(&p) != nil {
				if err := c.Clientset.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
					return fmt.Errorf("replace Pod %s, which waits for an image: %w", p.Name, err)
				}
			}
		}
	}
	pulls := map[string]*pull{}
	return c.waitUnless(ctx, objects, func(p *corev1.Pod) string { return pullProblem(p, pulls) })
}

// waitUnless waits as [Client.WaitReady] does, but no longer once hopeless says, of a Pod, why it won't be.
func (c *Client) waitUnless(ctx context.Context, objects []Object, hopeless func(*corev1.Pod) string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := c.look(ctx, objects, hopeless); err != nil {
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

// look returns as soon as a Pod of the objects is hopeless, and nil when ctx ends before.
func (c *Client) look(ctx context.Context, objects []Object, hopeless func(*corev1.Pod) string) error {
	tick := time.NewTicker(500 * time.Millisecond) // for as long as somebody waits
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, o := range objects {
			for _, p := range c.podsOf(ctx, o) {
				if problem := hopeless(&p); problem != "" {
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

// podsOf returns the Pods of a workload that stay. Those that can't be listed are told by the wait itself, should it last.
func (c *Client) podsOf(ctx context.Context, o Object) []corev1.Pod {
	if !IsWorkload(o) {
		return nil
	}
	pods, err := c.Clientset.CoreV1().Pods(namespaceOf(o)).List(ctx, metav1.ListOptions{LabelSelector: selectorOf(o)})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// pull is how often the pull of a container's image has failed.
type pull struct {
	failures int
	failed   bool // when last looked at: between two tries the kubelet waits
}

// pullTries is how often a pull may fail before it is given up: a registry may not answer at once. The kubelet has made three
// after half a minute.
const pullTries = 3

// pullProblem says why an image of a Pod won't come; "" when it may. pulls is what was seen so far.
func pullProblem(p *corev1.Pod, pulls map[string]*pull) string {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		w := s.State.Waiting
		if w == nil {
			continue
		}
		key := string(p.UID) + "/" + p.Name + "/" + s.Name
		if pulls[key] == nil {
			pulls[key] = &pull{}
		}
		seen := pulls[key]
		if w.Reason == "ErrImagePull" && !seen.failed {
			seen.failures++
		}
		seen.failed = w.Reason == "ErrImagePull"
		if seen.failed && seen.failures >= pullTries || w.Reason == "ErrImageNeverPull" || w.Reason == "InvalidImageName" {
			return fmt.Sprintf("container %s, image %s: %s: %s", s.Name, s.Image, w.Reason, oneLine(w.Message))
		}
	}
	return ""
}

// backsOff reports whether the kubelet waits before it pulls an image of a Pod again.
func backsOff(p *corev1.Pod) bool {
	return slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses), func(s corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && s.State.Waiting.Reason == "ImagePullBackOff"
	})
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
