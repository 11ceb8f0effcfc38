package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// SwapImages gives containers of a workload's Pods other images, by container. The kubelet restarts just those
// containers, in place: the Pod keeps its sandbox, its address and its volumes, which takes a fraction of what replacing
// it does. It returns when all of them run and the Pods are ready.
//
// A container restarts only when the reference of its image changes, whatever its content. The workload's template stays
// as it is. When a container ends badly, or ctx's deadline passes, the error is a *fault.Timeout or *fault.Exec with the
// end of its log; the Pods have the new images then.
func (c *Client) SwapImages(ctx context.Context, workload Object, images map[string]string, failFast bool) error {
	pods, err := c.Clientset.CoreV1().Pods(namespaceOf(workload)).List(ctx, metav1.ListOptions{LabelSelector: selectorOf(workload)})
	if err != nil {
		return fmt.Errorf("list the Pods of %s: %w", workload.ID(), err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp != nil || metav1.GetControllerOf(&p) == nil || metav1.GetControllerOf(&p).Kind == "Job" {
			continue
		}
		if err := c.swap(ctx, &p, images, failFast); err != nil {
			return fmt.Errorf("restart %s in place: %w", workload.ID(), err)
		}
	}
	return nil
}

func (c *Client) swap(ctx context.Context, p *corev1.Pod, images map[string]string, failFast bool) error {
	patch, before, err := imagePatch(p, images)
	if err != nil || patch == nil {
		return err
	}
	pods := c.Clientset.CoreV1().Pods(p.Namespace)
	patched, err := pods.Patch(ctx, p.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: fieldManager})
	if err != nil {
		return fmt.Errorf("patch Pod %s: %w", p.Name, err)
	}
	began := time.Now()
	last := patched
	changes := &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (w watch.Interface, err error) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", p.Name).String()
			return pods.Watch(ctx, o)
		},
	}
	_, err = watchtools.Until(ctx, patched.ResourceVersion, changes, func(e watch.Event) (bool, error) {
		now, ok := e.Object.(*corev1.Pod)
		if !ok {
			return false, fmt.Errorf("watch Pod %s: unexpected %T", p.Name, e.Object)
		}
		last = now
		if now.DeletionTimestamp != nil {
			return true, nil // it is being replaced: its successor runs what the template names
		}
		for _, s := range now.Status.ContainerStatuses {
			if failFast && died(s, before) {
				code := s.LastTerminationState.Terminated.ExitCode
				return false, &fault.Exec{Argv: []string{"container", s.Name}, Tail: c.logOf(ctx, now, s.Name, true), Err: fmt.Errorf("it ended with exit code %d", code)}
			}
		}
		return swapped(now, before) && isReady(now), nil
	})
	if err != nil && ctx.Err() != nil {
		seen := podProblem(last)
		if tail := c.failedLog(context.WithoutCancel(ctx), last); tail != "" {
			seen += "\n" + tail
		}
		return &fault.Timeout{WaitedFor: "Pod " + p.Name + " to be ready again", LastSeen: strings.TrimSpace(seen), After: time.Since(began)}
	}
	return err
}

// died reports whether a container that replaced another has ended badly.
func died(s corev1.ContainerStatus, before map[string]string) bool {
	old, ours := before[s.Name]
	last := s.LastTerminationState.Terminated
	return ours && last != nil && last.ExitCode != 0 && last.ContainerID != old && s.ContainerID != old
}

// imagePatch returns the patch to a Pod, nil when it has none of the containers, and the IDs of the containers that will
// be replaced by it.
func imagePatch(p *corev1.Pod, images map[string]string) (patch []byte, before map[string]string, err error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	var operations []operation
	before = map[string]string{}
	for i, c := range p.Spec.Containers {
		image, ok := images[c.Name]
		if !ok || image == c.Image {
			continue
		}
		// By position, as a merge would put the containers into another order, which no Pod allows.
		at := "/spec/containers/" + strconv.Itoa(i)
		operations = append(operations, operation{"test", at + "/name", c.Name}, operation{"replace", at + "/image", image})
		before[c.Name] = noContainer
		for _, s := range p.Status.ContainerStatuses {
			if s.Name == c.Name && s.ContainerID != "" {
				before[c.Name] = s.ContainerID
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
func swapped(p *corev1.Pod, before map[string]string) bool {
	left := len(before)
	for _, s := range p.Status.ContainerStatuses {
		if old, ok := before[s.Name]; ok && s.ContainerID != old && s.State.Running != nil {
			left--
		}
	}
	return left == 0
}
