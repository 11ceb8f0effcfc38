package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// podProblem says what keeps a Pod from running, as soon as the kubelet knows; "" when nothing does.
// Reasons that pass by themselves (ContainerCreating, PodInitializing) are no problems.
func podProblem(p *corev1.Pod) string {
	if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded {
		return ""
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses, p.Status.EphemeralContainerStatuses) {
		if w := s.State.Waiting; w != nil {
			switch w.Reason {
			case "", "ContainerCreating", "PodInitializing":
			case "ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull":
				// The kubelet alternates between the first two, with a page of text each.
				return fmt.Sprintf("container %s: image %s isn't on the node and can't be pulled", s.Name, s.Image)
			default:
				problem := "container " + s.Name + ": " + w.Reason
				if w.Message != "" {
					problem += ": " + oneLine(w.Message)
				}
				return problem
			}
		}
	}
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse && c.Message != "" {
			return c.Reason + ": " + oneLine(c.Message)
		}
	}
	return ""
}

// diagnose collects what a person would look at next: the workload's Pods that aren't well, their last warnings, and
// the end of a failing container's log. It uses a few seconds of its own, since the wait's context has run out.
func (c *Client) diagnose(ctx context.Context, o Object, last string) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	said := []string{}
	if last == "" {
		last = "nothing: it isn't in the cluster"
	}
	said = append(said, last)
	ns := namespaceOf(o)
	pods, err := c.Clientset.CoreV1().Pods(ns).List(ctx, metav1.ListOptions{LabelSelector: selectorOf(o)})
	if err != nil {
		return strings.Join(append(said, "its Pods can't be listed: "+err.Error()), "; ")
	}
	owners := map[string]bool{o.GetName(): true}
	for _, p := range pods.Items {
		if isReady(&p) {
			continue
		}
		owners[p.Name] = true
		line := "Pod " + p.Name + " " + string(p.Status.Phase)
		if problem := podProblem(&p); problem != "" {
			line += ", " + problem
		}
		said = append(said, line)
		if tail := c.failedLog(ctx, &p); tail != "" {
			said = append(said, tail)
		}
	}
	if events, err := c.Clientset.CoreV1().Events(ns).List(ctx, metav1.ListOptions{}); err == nil {
		said = append(said, warnings(events.Items, owners, 3)...)
	}
	return strings.Join(said, "\n  ")
}

// warnings returns the last n warnings about the named objects.
func warnings(events []corev1.Event, about map[string]bool, n int) []string {
	var lines []string
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return eventTime(a).Compare(eventTime(b)) })
	for _, e := range events {
		// A ReplicaSet's name begins with its Deployment's.
		known := about[e.InvolvedObject.Name]
		if i := strings.LastIndexByte(e.InvolvedObject.Name, '-'); !known && i > 0 && e.InvolvedObject.Kind == "ReplicaSet" {
			known = about[e.InvolvedObject.Name[:i]]
		}
		if known && e.Type == corev1.EventTypeWarning {
			lines = append(lines, fmt.Sprintf("event %s %s: %s", e.InvolvedObject.Name, e.Reason, oneLine(e.Message)))
		}
	}
	return lines[max(0, len(lines)-n):]
}

func eventTime(e corev1.Event) time.Time {
	if !e.LastTimestamp.IsZero() {
		return e.LastTimestamp.Time
	}
	return e.EventTime.Time
}

// failedLog returns the end of the log of the Pod's first container that ended badly.
func (c *Client) failedLog(ctx context.Context, p *corev1.Pod) string {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		previous := s.State.Terminated == nil && s.LastTerminationState.Terminated != nil
		if s.State.Terminated == nil && !previous || s.State.Terminated != nil && s.State.Terminated.ExitCode == 0 {
			continue
		}
		if log := c.logOf(ctx, p, s.Name, previous); log != "" {
			return titled(s.Name, log)
		}
	}
	return ""
}

// titled is a container's log as errors show it.
func titled(container, log string) string {
	return "log of " + container + ":\n    " + strings.ReplaceAll(log, "\n", "\n    ")
}

// logOf returns the end of a container's log, or of the one that it replaced; "" when there is none.
func (c *Client) logOf(ctx context.Context, p *corev1.Pod, container string, previous bool) string {
	lines := int64(15)
	log, err := c.Clientset.CoreV1().Pods(p.Namespace).GetLogs(p.Name,
		&corev1.PodLogOptions{Container: container, Previous: previous, TailLines: &lines}).DoRaw(ctx)
	if err != nil {
		return ""
	}
	return fault.Tail(log, 15)
}

func isReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
