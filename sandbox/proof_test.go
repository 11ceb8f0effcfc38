package sandbox

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// A container tells of an image only when it ran that one: a Pod may have been made before it was loaded.
func TestWhatProves(t *testing.T) {
	t.Parallel()
	loaded := time.Now()
	image := proof{id: "sha256:2", before: map[string]Image{"docker.io/a/job:main": {}}, since: loaded}
	mounted := image
	mounted.mount = true
	for name, tc := range map[string]struct {
		p    proof
		e    cluster.Ended
		want bool
	}{
		"the image":                        {image, cluster.Ended{Image: "a/job:main", ImageID: "sha256:2", Started: loaded.Truncate(time.Second)}, true},
		"the image, but before it came":    {image, cluster.Ended{Image: "a/job:main", ImageID: "sha256:2", Started: loaded.Add(-time.Minute)}, false},
		"the one before":                   {image, cluster.Ended{Image: "a/job:main", ImageID: "sha256:1", Started: loaded.Add(time.Hour)}, false},
		"another service":                  {image, cluster.Ended{Image: "a/other:main", ImageID: "sha256:2"}, false},
		"mounted, and started afterwards":  {mounted, cluster.Ended{Image: "a/job:main", ImageID: "sha256:1", Started: loaded.Add(time.Second)}, true},
		"mounted, but started before that": {mounted, cluster.Ended{Image: "a/job:main", ImageID: "sha256:1", Started: loaded.Add(-time.Second)}, false},
	} {
		if got := tc.p.ran(tc.e); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// What has to prove itself goes back to the last version that did, and is over when that comes back.
func TestProofsOfAService(t *testing.T) {
	t.Parallel()
	const ref = "docker.io/a/job:main"
	good, bad, worse := builtOf(t, "job", "a/job:main"), builtOf(t, "job", "a/job:main"), builtOf(t, "job", "a/job:main")
	r := newReloader(&bringUp{session: &session{}, workspace: &workspace{}})
	has := func(b images.Built) Record { return Record{Images: map[string]Image{ref: {Digest: digestOf(b)}}} }
	if p := r.newProof(Record{}, bad); p != nil {
		t.Error("there was nothing before, and it has to prove itself")
	}
	p := r.newProof(has(good), bad)
	if p == nil || p.before[ref].Digest != digestOf(good) {
		t.Fatalf("the proof: %+v", p)
	}
	r.proofs.open = map[string]*proof{"job": p}
	if p := r.newProof(has(bad), worse); p == nil || p.before[ref].Digest != digestOf(good) {
		t.Error("what isn't proven counts as good")
	}
	if p := r.newProof(has(bad), good); p != nil {
		t.Error("what was there before has to prove itself")
	}
	stopped := false
	r.proofs.stop = func() { stopped = true }
	r.forgetGone() // the workspace has no services
	if r.proofs.of("job") != nil || !stopped {
		t.Error("a service that is gone has to prove itself, or is followed")
	}
}

// What was refused since is told beside what the version in the platform died of.
func TestRefuseDied(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), events: newFeed(nil)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	b := builtOf(t, "job", "a/job:main")
	r.await("job", images.Reason{})
	r.refuse(errors.New("main.go:1:1: no"), "job")
	r.refuseDied(b, errors.New("it panicked"))
	if said := r.problems()["job"]; !strings.Contains(said, "main.go:1:1") || !strings.Contains(said, "it panicked") || !r.crashed(b) {
		t.Errorf("%s; tried again: %v", said, !r.crashed(b))
	}
}

// A Pod in which the service may have ended before its time proves nothing, which is told once.
func TestServiceThatEndsBeforeItsTime(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), base: t.Context(), events: newFeed(nil)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	began := time.Now()
	end := func(container string, after time.Duration) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: container, ImageID: "sha256:2", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			StartedAt: metav1.NewTime(began), FinishedAt: metav1.NewTime(began.Add(after))}}}
	}
	pod := func(firstEnds time.Duration) (told cluster.JobPod) {
		container := func(name, port string) corev1.Container {
			return corev1.Container{Name: name, Image: "a/" + name + ":main", Env: []corev1.EnvVar{{Name: "DESIGNATED_GRPC_PORT", Value: port}}}
		}
		p := &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "uva", Labels: map[string]string{"batch.kubernetes.io/job-name": "p"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{container("first", "50053"), container("job", "50054")}},
			Status:     corev1.PodStatus{Phase: corev1.PodSucceeded, ContainerStatuses: []corev1.ContainerStatus{end("first", firstEnds), end("job", 0)}},
		}
		c := &cluster.Client{Clientset: fake.NewClientset(p)}
		if err := c.FollowJobs(t.Context(), func(p cluster.JobPod) bool { told = p; return true }); err != nil {
			t.Fatal(err)
		}
		return told
	}
	p := &proof{built: builtOf(t, "job", "a/job:main"), id: "sha256:2", before: map[string]Image{"docker.io/a/job:main": {}}, since: began}
	r.proofs.open = map[string]*proof{"job": p}
	for range 2 {
		if r.judge(t.Context(), p, pod(40*time.Second)); r.proofs.of("job") != p {
			t.Fatal("it counts as proven")
		}
	}
	if r.judge(t.Context(), p, pod(time.Second)); r.proofs.of("job") != nil {
		t.Error("a Pod that ended as it should proves nothing")
	}
	s.events.close()
	notes := 0
	if err := s.events.follow(t.Context(), 0, func(e *control.Event) error {
		if notes++; !strings.Contains(e.Text, "job ended with exit code 0, and first, of which it gets its message, 40s later") {
			t.Error(e.Text)
		}
		return nil
	}); err != nil || notes != 1 {
		t.Errorf("it was told %d times: %v", notes, err)
	}
}
