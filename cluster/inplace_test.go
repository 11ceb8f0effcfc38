package cluster

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func podOf(statuses ...corev1.ContainerStatus) *corev1.Pod {
	return &corev1.Pod{
		Spec: corev1.PodSpec{Containers: []corev1.Container{
			{Name: "main", Image: "a/agent:main"}, {Name: "sidecar", Image: "a/sidecar:main"}, {Name: "other", Image: "b/other:1"},
		}},
		Status: corev1.PodStatus{ContainerStatuses: statuses},
	}
}

func TestImagePatch(t *testing.T) {
	t.Parallel()
	p := podOf(corev1.ContainerStatus{Name: "sidecar", ContainerID: "containerd://s"}, corev1.ContainerStatus{Name: "main", ContainerID: "containerd://m"})
	patch, before, err := imagePatch(p, map[string]string{"sidecar": "a/sidecar:2", "main": "a/agent:2", "absent": "x"})
	if err != nil {
		t.Fatal(err)
	}
	const want = `[{"op":"test","path":"/spec/containers/0/name","value":"main"},{"op":"replace","path":"/spec/containers/0/image","value":"a/agent:2"},` +
		`{"op":"test","path":"/spec/containers/1/name","value":"sidecar"},{"op":"replace","path":"/spec/containers/1/image","value":"a/sidecar:2"}]`
	if string(patch) != want {
		t.Errorf("patch:\n%s\nwant\n%s", patch, want)
	}
	if len(before) != 2 || before["main"].id != "containerd://m" || before["sidecar"].id != "containerd://s" {
		t.Errorf("containers before: %v", before)
	}
	if patch, _, err := imagePatch(p, map[string]string{"main": "a/agent:main"}); patch != nil || err != nil {
		t.Errorf("a patch that changes nothing: %s, %v", patch, err)
	}
}

func TestSwapped(t *testing.T) {
	t.Parallel()
	before := map[string]replaced{"main": {id: "old-m"}, "sidecar": {id: "old-s"}}
	runs := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, tc := range map[string]struct {
		statuses []corev1.ContainerStatus
		want     bool
	}{
		"none yet": {[]corev1.ContainerStatus{{Name: "main", ContainerID: "old-m", State: runs}, {Name: "sidecar", ContainerID: "old-s", State: runs}}, false},
		"one":      {[]corev1.ContainerStatus{{Name: "main", ContainerID: "new-m", State: runs}, {Name: "sidecar", ContainerID: "old-s", State: runs}}, false},
		"created":  {[]corev1.ContainerStatus{{Name: "main", ContainerID: "new-m", State: runs}, {Name: "sidecar", ContainerID: "new-s"}}, false},
		"both":     {[]corev1.ContainerStatus{{Name: "main", ContainerID: "new-m", State: runs}, {Name: "sidecar", ContainerID: "new-s", State: runs}, {Name: "other", ContainerID: "o"}}, true},
	} {
		if got := swapped(podOf(tc.statuses...), before); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Only what was started for a change speaks against it.
func TestDied(t *testing.T) {
	t.Parallel()
	changed := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	ended := func(container string, code int32, started time.Time) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "main", ContainerID: "now", LastTerminationState: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ContainerID: container, ExitCode: code, StartedAt: metav1.NewTime(started)}}}
	}
	before := changed.Truncate(time.Second)
	for name, tc := range map[string]struct {
		status corev1.ContainerStatus
		ran    bool
		want   bool
	}{
		"the old one, ended for the change":             {ended("old", 2, before.Add(-time.Hour)), true, false},
		"the new one":                                   {ended("new", 2, before), true, true},
		"the new one, done":                             {ended("new", 0, before), true, false},
		"the old image, in a crash loop":                {ended("older", 2, before.Add(-time.Second)), false, false},
		"one of them, in a crash loop":                  {ended("either", 2, before), false, false},
		"the new image, after a crash loop of the last": {ended("new", 2, before.Add(time.Second)), false, true},
	} {
		if got := died(tc.status, map[string]replaced{"main": {"old", tc.ran}}, changed); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A Pod that is ready gets no request before the Services that select it have its address.
func TestWaitLed(t *testing.T) {
	t.Parallel()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: "p", Labels: map[string]string{"app": "uva"}}, Status: corev1.PodStatus{PodIP: "10.1.2.3"}}
	service := func(name string, selector map[string]string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: name}, Spec: corev1.ServiceSpec{Selector: selector}}
	}
	no, yes := false, true
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: "s", Labels: map[string]string{discoveryv1.LabelServiceName: "uva"}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.1.2.3"}, Conditions: discoveryv1.EndpointConditions{Ready: &no}}},
	}
	set := fake.NewClientset(service("uva", map[string]string{"app": "uva"}), service("other", map[string]string{"app": "vu"}), service("outside", nil), slice)
	c := &Client{Clientset: set}
	done := make(chan error, 1)
	go func() { done <- c.waitLed(t.Context(), pod) }()
	select {
	case err := <-done:
		t.Fatalf("it returned while the Service led nowhere: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	slice = slice.DeepCopy()
	slice.Endpoints[0].Conditions.Ready = &yes
	if _, err := set.DiscoveryV1().EndpointSlices("uva").Update(t.Context(), slice, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
