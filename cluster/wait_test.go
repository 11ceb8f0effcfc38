package cluster

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

func deployment(generation, observed int64, updated, available int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: "uva", Generation: generation},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: observed, Replicas: max(updated, available), UpdatedReplicas: updated, AvailableReplicas: available},
	}
}

func TestRollout(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		d    *appsv1.Deployment
		want bool
	}{
		"available":                       {deployment(2, 2, 1, 1), true},
		"available by the last template":  {deployment(3, 2, 1, 1), false},
		"only the old Pod is available":   {deployment(2, 2, 0, 1), false},
		"the new Pod isn't available yet": {deployment(2, 2, 1, 0), false},
	} {
		if _, got, _ := rollout(tc.d); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func waitObject(kind string) Object {
	return Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": kind, "metadata": map[string]any{"namespace": "uva", "name": "uva"},
		"spec": map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": "uva"}}},
	}}}
}

func TestWaitReady(t *testing.T) {
	t.Parallel()
	set := fake.NewClientset(deployment(1, 1, 1, 0))
	c := &Client{Clientset: set}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- c.WaitReady(ctx, []Object{waitObject("Deployment"), waitObject("Job"), waitObject("PersistentVolumeClaim")})
	}()
	select {
	case err := <-done:
		t.Fatalf("it returned before the Deployment was available: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if _, err := set.AppsV1().Deployments("uva").Update(ctx, deployment(1, 1, 1, 1), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What runs is asked for with lists alone: a watch of the whole cluster would cost a bring-up that changes nothing most
// of its time.
func TestWaitReadyAtOnce(t *testing.T) {
	t.Parallel()
	set := fake.NewClientset(deployment(1, 1, 1, 1))
	if err := (&Client{Clientset: set}).WaitReady(t.Context(), []Object{waitObject("Deployment")}); err != nil {
		t.Fatal(err)
	}
	for _, a := range set.Actions() {
		if a.GetVerb() != "list" {
			t.Errorf("the cluster was asked to %s %s", a.GetVerb(), a.GetResource().Resource)
		}
	}
}

// A wait that runs out names the one thing, and what a person would look up next.
func TestWaitReadyTimeout(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: "uva-1-a", Labels: map[string]string{"app": "uva"}},
		Status: corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
			Name: "sidecar", Image: "dynamos1/sidecar:main",
			State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CreateContainerConfigError", Message: `secret "rabbit" not found`}},
		}}},
	}
	event := &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: "e"}, Type: corev1.EventTypeWarning, Reason: "Failed", Message: "Error: no secret",
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: "uva-1-a"},
	}
	other := event.DeepCopy()
	other.Name, other.InvolvedObject.Name = "f", "elsewhere"
	c := &Client{Clientset: fake.NewClientset(deployment(1, 1, 1, 0), pod, event, other)}
	told := make(chan string, 16)
	ctx := progress.With(context.Background(), func(u progress.Update) { told <- u.What })
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := c.WaitReady(ctx, []Object{waitObject("Deployment")})
	var timeout *fault.Timeout
	if !errors.As(err, &timeout) {
		t.Fatalf("got %v, want a *fault.Timeout", err)
	}
	for _, want := range []string{"Deployment uva/uva", "0 available", "uva-1-a", `secret "rabbit" not found`, "Error: no secret"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "elsewhere") {
		t.Errorf("the error has another Pod's event:\n%v", err)
	}
	close(told)
	var reported []string
	for what := range told {
		reported = append(reported, what)
	}
	all := strings.Join(reported, "\n")
	for _, want := range []string{"wait for Deployment uva/uva", "CreateContainerConfigError"} {
		if !strings.Contains(all, want) {
			t.Errorf("what was reported while waiting lacks %q:\n%s", want, all)
		}
	}
}

func TestPodProblem(t *testing.T) {
	t.Parallel()
	waiting := func(reason string) *corev1.Pod {
		return &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "c", Image: "a/b:c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "m"}},
		}}}}
	}
	for reason, want := range map[string]string{
		"ContainerCreating": "",
		"PodInitializing":   "",
		"ErrImagePull":      "container c: image a/b:c isn't on the node and can't be pulled",
		"ImagePullBackOff":  "container c: image a/b:c isn't on the node and can't be pulled",
		"CrashLoopBackOff":  "container c: CrashLoopBackOff: m",
	} {
		if got := podProblem(waiting(reason)); got != want {
			t.Errorf("%s: got %q, want %q", reason, got, want)
		}
	}
}
