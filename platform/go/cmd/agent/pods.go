package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
)

// podClient reads the Pods of the agent's namespace.
type podClient interface {
	List(ctx context.Context, options metav1.ListOptions) (*corev1.PodList, error)
	Watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error)
}

// Pauses before a watch that failed begins again. They grow: an agent that may not read Pods works without, and its
// requests learn of a dead chain by their time-out.
const (
	firstPodPause = time.Second
	maxPodPause   = time.Minute
)

// watchPods follows the Pods of the agent's Jobs, all in one watch, and tells exchanges of those that can't do their part any
// more. It returns when ctx ends.
func (a *agent) watchPods(ctx context.Context) error {
	pause := firstPodPause
	for {
		began := time.Now()
		err := a.watchPodsOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(began) > maxPodPause {
			pause = firstPodPause
		}
		if err != nil {
			slog.WarnContext(ctx, "pods not watched, beginning again", "after", pause, "error", err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		if pause = min(2*pause, maxPodPause); err == nil {
			pause = firstPodPause // the API server ends every watch after a while
		}
	}
}

// watchPodsOnce looks at all Pods and then at each change, until the watch ends.
func (a *agent) watchPodsOnce(ctx context.Context) error {
	// By the label that Kubernetes gives to every Job's Pods: that of the agent may have been taken from them, so that they
	// don't match its Service.
	options := metav1.ListOptions{LabelSelector: batchv1.JobNameLabel}
	pods, err := a.pods.List(ctx, options)
	if err != nil {
		return fmt.Errorf("list pods: %w", err)
	}
	broken := map[types.UID]brokenPod{}
	for _, pod := range pods.Items {
		if b, ok := breakOf(&pod); ok {
			broken[pod.UID] = b
		}
		if pod.DeletionTimestamp != nil {
			a.lost(&pod)
		}
	}
	a.exchanges.replaceBroken(broken)

	options.ResourceVersion = pods.ResourceVersion
	changes, err := a.pods.Watch(ctx, options)
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		pod, ok := change.Object.(*corev1.Pod)
		if !ok {
			return fmt.Errorf("watch pods: %w", apierrors.FromObject(change.Object))
		}
		if change.Type == watch.Deleted {
			a.exchanges.podGone(pod.UID)
		} else if b, broke := breakOf(pod); broke {
			a.exchanges.podBroke(pod.UID, b)
		}
		if change.Type == watch.Deleted || pod.DeletionTimestamp != nil {
			a.lost(pod)
		}
	}
	return nil
}

// lost tells of a Pod that is deleted, or about to be.
func (a *agent) lost(pod *corev1.Pod) {
	if owner := metav1.GetControllerOf(pod); owner != nil {
		a.exchanges.podLost(owner.UID)
	}
}

// brokenPod is a Pod that can't do its part: whose it is, and why.
type brokenPod struct {
	job     types.UID
	problem string
}

// breakOf says whether a container of a Pod ended badly, or can't start, and which. One that Kubernetes has started again
// meanwhile counts too: what it had begun is lost, and what made it end is likely to do so again. A Pod that is being deleted
// ends as it was told to.
func breakOf(pod *corev1.Pod) (brokenPod, bool) {
	if pod.DeletionTimestamp != nil {
		return brokenPod{}, false
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return brokenPod{}, false
	}
	for _, container := range pod.Status.ContainerStatuses {
		for _, state := range []corev1.ContainerState{container.State, container.LastTerminationState} {
			if text := problemOf(state); text != "" {
				return brokenPod{owner.UID, container.Name + ": " + text}, true
			}
		}
	}
	return brokenPod{}, false
}

// cannotStart are the reasons of a container that waits for something that does not come by itself.
var cannotStart = []string{
	"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "ImageInspectError", "InvalidImageName",
	"CreateContainerConfigError", "CreateContainerError", "RunContainerError",
}

// problemOf is what is wrong with a container in a state; empty for one that runs, is about to, or ended well.
func problemOf(state corev1.ContainerState) string {
	switch {
	case state.Waiting != nil && slices.Contains(cannotStart, state.Waiting.Reason):
		return strings.TrimSpace(fmt.Sprintf("its container can't start: %s: %s", state.Waiting.Reason, state.Waiting.Message))
	case state.Terminated != nil && state.Terminated.ExitCode != 0:
		text := fmt.Sprintf("its container ended with exit code %d (%s)", state.Terminated.ExitCode, state.Terminated.Reason)
		if log := strings.TrimSpace(state.Terminated.Message); log != "" {
			text += "; its last words:\n" + log
		}
		return text
	}
	return ""
}
