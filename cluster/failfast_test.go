package cluster

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// A Pod that can't start ends the wait; one that was there before says nothing of the change.
func TestWaitStarted(t *testing.T) {
	t.Parallel()
	began := time.Now()
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	crashed := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}
	for name, tc := range map[string]struct {
		status corev1.ContainerStatus
		made   time.Time
		want   string // "": it waits on
	}{
		"no such image":           {corev1.ContainerStatus{Name: "main", Image: "a/b:c", State: waiting("ErrImagePull")}, began, "image a/b:c isn't on the node"},
		"no such Secret":          {corev1.ContainerStatus{Name: "main", State: waiting("CreateContainerConfigError")}, began, "CreateContainerConfigError"},
		"crashes":                 {corev1.ContainerStatus{Name: "main", State: waiting("CrashLoopBackOff"), LastTerminationState: crashed, RestartCount: 2}, began, "exit code 3"},
		"crashed once":            {corev1.ContainerStatus{Name: "main", State: waiting("CrashLoopBackOff"), LastTerminationState: crashed, RestartCount: 1}, began, ""},
		"starts":                  {corev1.ContainerStatus{Name: "main", State: waiting("ContainerCreating")}, began, ""},
		"crashed before the wait": {corev1.ContainerStatus{Name: "main", State: waiting("CrashLoopBackOff"), LastTerminationState: crashed, RestartCount: 9}, began.Add(-time.Minute), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: "uva-1-a", Labels: map[string]string{"app": "uva"}, CreationTimestamp: metav1.NewTime(tc.made)},
				Status:     corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{tc.status}},
			}
			c := &Client{Clientset: fake.NewClientset(deployment(1, 1, 1, 0), pod)}
			limit := 30 * time.Second
			if tc.want == "" {
				limit = 1200 * time.Millisecond // as long as it takes to look twice
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			err := c.WaitStarted(ctx, []Object{waitObject("Deployment")}, began)
			if err == nil || (tc.want == "") != (ctx.Err() != nil) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
