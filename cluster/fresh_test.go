package cluster

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestStale(t *testing.T) {
	t.Parallel()
	node := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC).Truncate(time.Second)
	running := func(at time.Time) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(at)}}}
	}
	ready := []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for name, tc := range map[string]struct {
		status  corev1.PodStatus
		deleted bool
		want    string
	}{
		"from before the node's start":   {corev1.PodStatus{Conditions: ready, ContainerStatuses: []corev1.ContainerStatus{running(node.Add(-time.Second))}}, false, "last heard of before"},
		"within the second of the start": {corev1.PodStatus{Conditions: ready, ContainerStatuses: []corev1.ContainerStatus{running(node)}}, false, ""},
		"one of two":                     {corev1.PodStatus{Conditions: ready, ContainerStatuses: []corev1.ContainerStatus{running(node.Add(9 * time.Second)), running(node.Add(-time.Hour))}}, false, "last heard of before"},
		"not started":                    {corev1.PodStatus{Conditions: ready, ContainerStatuses: []corev1.ContainerStatus{{Name: "main"}}}, false, "doesn't run"},
		"not ready":                      {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{running(node.Add(time.Second))}}, false, "isn't ready"},
		"going":                          {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{running(node.Add(-time.Hour))}}, true, ""},
		"a Job's, done":                  {corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{{Name: "main"}}}, false, ""},
	} {
		p := &corev1.Pod{Status: tc.status}
		if tc.deleted {
			p.DeletionTimestamp = &metav1.Time{Time: node}
		}
		got := ""
		if err := stale(p, node); err != nil {
			got = err.Error()
		}
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
