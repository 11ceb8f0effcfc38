package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
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
	if len(before) != 2 || before["main"] != "containerd://m" || before["sidecar"] != "containerd://s" {
		t.Errorf("containers before: %v", before)
	}
	if patch, _, err := imagePatch(p, map[string]string{"main": "a/agent:main"}); patch != nil || err != nil {
		t.Errorf("a patch that changes nothing: %s, %v", patch, err)
	}
}

func TestSwapped(t *testing.T) {
	t.Parallel()
	before := map[string]string{"main": "old-m", "sidecar": "old-s"}
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
