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

// A platform that comes up isn't waited for any longer when an image won't come: at once where nothing is tried, else when that
// has failed several times. What crashes may recover.
func TestWaitPulled(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reasons []string // one after the other
		want    string   // "": it waits on
	}{
		"never pulled":          {[]string{"ErrImageNeverPull"}, "container main, image a/b:c: ErrImageNeverPull: says why"},
		"no name":               {[]string{"InvalidImageName"}, "InvalidImageName"},
		"failed once":           {[]string{"ErrImagePull", "ErrImagePull", "ErrImagePull", "ImagePullBackOff"}, ""},
		"failed again":          {[]string{"ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff", "ErrImagePull"}, "ErrImagePull: says why"},
		"crashes":               {[]string{"CrashLoopBackOff", "CrashLoopBackOff", "CrashLoopBackOff"}, ""},
		"came in the third try": {[]string{"ErrImagePull", "ImagePullBackOff", "ErrImagePull", "ImagePullBackOff", "ContainerCreating"}, ""},
	} {
		pulls, got := map[string]*pull{}, ""
		for _, reason := range tc.reasons {
			got = pullProblem(&corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
				Name: "main", Image: "a/b:c", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: "says\nwhy"}},
			}}}}, pulls)
		}
		if (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "uva", Name: "uva-1-a", Labels: map[string]string{"app": "uva"}, OwnerReferences: []metav1.OwnerReference{{Controller: new(true)}}},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: "InvalidImageName"}}}}},
	}
	early := pod.DeepCopy()
	early.Name, early.Status.ContainerStatuses[0].State.Waiting.Reason = "uva-1-b", "ImagePullBackOff"
	c := &Client{Clientset: fake.NewClientset(deployment(1, 1, 1, 0), pod, early)}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.WaitPulled(ctx, []Object{waitObject("Deployment")}); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "Deployment uva/uva can't start: Pod uva-1-a") {
		t.Errorf("got %v", err)
	}
	if left, err := c.Clientset.CoreV1().Pods("uva").List(ctx, metav1.ListOptions{}); err != nil || len(left.Items) != 1 {
		t.Errorf("what waits since earlier has no successor: %v, %v", left, err)
	}
}
