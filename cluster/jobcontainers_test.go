package cluster

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// Of a Pod that failed, what ended badly first is to blame, and what runs again tells nothing of the image that it ran.
func TestFollowJobs(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ended := func(name string, code int32, after time.Duration) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, ImageID: "sha256:" + name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, StartedAt: metav1.NewTime(began), FinishedAt: metav1.NewTime(began.Add(after)), Message: name + " says why"}}}
	}
	again := ended("main", 3, 0)
	again.LastTerminationState, again.State = again.State, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waits := again
	waits.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	now := metav1.Now()
	pod := func(name string, phase corev1.PodPhase, statuses ...corev1.ContainerStatus) *corev1.Pod {
		p := podOf(statuses...)
		p.ObjectMeta = metav1.ObjectMeta{Namespace: "uva", Name: name, Labels: map[string]string{"batch.kubernetes.io/job-name": name}}
		p.Status.Phase = phase
		return p
	}
	leaving := pod("leaving", corev1.PodFailed, ended("main", 137, 0))
	leaving.DeletionTimestamp, leaving.Finalizers = &now, []string{"test/stays"}
	other := pod("other", corev1.PodFailed, ended("main", 1, 0))
	other.Labels = nil
	chain := func(p *corev1.Pod) *corev1.Pod {
		for i, port := range []string{"50053", "50051", "50054"} { // main, sidecar, other
			p.Spec.Containers[i].Env = []corev1.EnvVar{{Name: "DESIGNATED_GRPC_PORT", Value: port}}
		}
		return p
	}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		told bool
		good bool
		bad  []string
		left []string // who left the one before it waiting
	}{
		"all well":            {pod: pod("a", corev1.PodSucceeded, ended("main", 0, 0), ended("sidecar", 0, time.Second)), told: true, good: true},
		"one well, one runs":  {pod: pod("a", corev1.PodRunning, ended("main", 0, 0)), told: true},
		"one after the other": {pod: pod("a", corev1.PodFailed, ended("main", 1, time.Second), ended("sidecar", 2, 0), ended("other", 0, 0)), told: true, bad: []string{"sidecar"}},
		"two at once":         {pod: pod("a", corev1.PodFailed, ended("main", 1, 0), ended("sidecar", 2, 0)), told: true, bad: []string{"main", "sidecar"}},
		"the first ends, and the next after long work": {pod: chain(pod("a", corev1.PodSucceeded, ended("main", 0, 0), ended("other", 0, time.Hour), ended("sidecar", 0, time.Hour))), told: true, good: true},
		"one after the other, and the sidecar late":    {pod: chain(pod("a", corev1.PodSucceeded, ended("main", 0, 3*time.Second), ended("other", 0, 0), ended("sidecar", 0, time.Hour))), told: true, good: true},
		"the second ends at once, the first waits":     {pod: chain(pod("a", corev1.PodSucceeded, ended("main", 0, 40*time.Second), ended("other", 0, 0), ended("sidecar", 0, 40*time.Second))), told: true, good: true, left: []string{"other"}},
		"it waits to start":                            {pod: pod("a", corev1.PodRunning, waits), told: true, bad: []string{"main"}},
		"it runs again":                                {pod: pod("a", corev1.PodRunning, again)},
		"its Pod is deleted":                           {pod: leaving},
		"of no Job":                                    {pod: other},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last := pod("last", corev1.PodSucceeded, ended("other", 0, 0)) // ends the following
			var seen []JobPod
			c := &Client{Clientset: fake.NewClientset(tc.pod, last)}
			err := c.FollowJobs(t.Context(), func(p JobPod) bool {
				if p.Ended[0].Container == "other" && len(p.Ended) == 1 {
					return len(seen) > 0 || !tc.told
				}
				seen = append(seen, p)
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			if (len(seen) > 0) != tc.told {
				t.Fatalf("told: %v", seen)
			}
			if !tc.told {
				return
			}
			var bad []string
			for _, e := range seen[0].FirstFailed() {
				bad = append(bad, e.Container)
				if e.ImageID != "sha256:"+e.Container || e.Log(t.Context()) != e.Container+" says why" {
					t.Errorf("%s ran %s and said %q", e.Container, e.ImageID, e.Log(t.Context()))
				}
			}
			var left []string
			for _, e := range seen[0].Ended {
				if _, ok := seen[0].LeftWaiting(e); ok {
					left = append(left, e.Container)
				}
			}
			if !slices.Equal(left, tc.left) {
				t.Errorf("left others waiting: %v", left)
			}
			if seen[0].Succeeded != tc.good || len(bad) != len(tc.bad) || len(bad) > 0 && bad[0] != tc.bad[0] {
				t.Errorf("well: %v, to blame: %v", seen[0].Succeeded, bad)
			}
		})
	}
}
