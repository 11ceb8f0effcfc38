package cluster

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
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

// oldPod is a Pod of the workload uva with a container that runs its old image.
func oldPod(name string) *corev1.Pod {
	yes := true
	p := podOf(corev1.ContainerStatus{Name: "main", ContainerID: "old", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}})
	p.ObjectMeta = metav1.ObjectMeta{Namespace: "uva", Name: name, ResourceVersion: "1", Labels: map[string]string{"app": "uva"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "uva-1", Controller: &yes}}}
	return p
}

// kubelet restarts the container of a Pod when its image changes, and does what comes then.
func kubelet(t *testing.T, set *fake.Clientset, pod *corev1.Pod, then func(*corev1.Pod)) {
	set.PrependReactor("patch", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
		p := pod.DeepCopy()
		p.Spec.Containers[0].Image = "a/agent:2"
		go func() {
			p.Status.ContainerStatuses[0].ContainerID = "new"
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
			for i := 0; t.Context().Err() == nil; i++ { // again and again, as the watch may begin late
				if i == 5 && then != nil {
					then(p)
				}
				if _, err := set.CoreV1().Pods("uva").Update(t.Context(), p.DeepCopy(), metav1.UpdateOptions{}); err != nil {
					return // the test is over
				}
				time.Sleep(20 * time.Millisecond)
			}
		}()
		return true, pod, nil
	})
}

// A container that nothing probes must stay for a while.
func TestSwapImages(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		probe *corev1.Probe
		ends  bool
		died  bool
	}{
		"it runs on":             {},
		"it ends a moment later": {ends: true, died: true},
		"it says that it is ready, which is enough": {probe: &corev1.Probe{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pod := oldPod("a")
			pod.Spec.Containers[0].ReadinessProbe = tc.probe
			set := fake.NewClientset(pod)
			kubelet(t, set, pod, func(p *corev1.Pod) {
				if tc.ends {
					p.Status.ContainerStatuses[0].ContainerID = "newer"
					p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ContainerID: "new", ExitCode: 2, StartedAt: metav1.Now()}
				}
			})
			err := (&Client{Clientset: set}).SwapImages(t.Context(), waitObject("Deployment"), map[string]string{"main": "a/agent:2"}, true)
			if died := errors.As(err, new(*Died)); died != tc.died || !died && err != nil {
				t.Errorf("%v", err)
			}
		})
	}
}

// A Pod that is being deleted leaves its images to its successor.
func TestSwapImagesOfASuccessor(t *testing.T) {
	t.Parallel()
	leaving, next := oldPod("a"), oldPod("b")
	leaving.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	leaving.Finalizers = []string{"test/stays"}
	set := fake.NewClientset(leaving)
	kubelet(t, set, next, nil)
	done := make(chan error, 1)
	go func() {
		done <- (&Client{Clientset: set}).SwapImages(t.Context(), waitObject("Deployment"), map[string]string{"main": "a/agent:2"}, true)
	}()
	select {
	case err := <-done:
		t.Fatalf("it returned while its Pod went: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	if err := errors.Join(set.Tracker().Add(next), set.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("pods"), "uva", "a")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, err := set.CoreV1().Pods("uva").Get(t.Context(), "b", metav1.GetOptions{}); err != nil || got.Spec.Containers[0].Image != "a/agent:2" {
		t.Errorf("the successor runs %v, %v", got.Spec.Containers, err)
	}
}
