package sandbox

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

func deploymentOf(images ...string) cluster.Object {
	var containers []any
	for _, i := range images {
		containers = append(containers, map[string]any{"name": i, "image": i})
	}
	return cluster.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"namespace": "uva", "name": "uva"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}},
	}}}
}

// A workload whose Pods were restarted in place keeps its template for as long as its images stay.
func TestAnnotationOfAWorkloadRestartedInPlace(t *testing.T) {
	t.Parallel()
	o := deploymentOf("a/agent:main", "a/sidecar:main")
	first := map[string]Image{"docker.io/a/agent:main": {ID: "1"}, "docker.io/a/sidecar:main": {ID: "s"}}
	second := map[string]Image{"docker.io/a/agent:main": {ID: "2"}, "docker.io/a/sidecar:main": {ID: "s"}}
	third := map[string]Image{"docker.io/a/agent:main": {ID: "3"}, "docker.io/a/sidecar:main": {ID: "s"}}
	original := annotation(o, first, nil)
	if annotation(o, second, nil) == original {
		t.Fatal("other images, the same annotation")
	}
	standing := map[string]InPlace{o.ID(): {Hash: imagesHash(o, second), Annotation: original}}
	if annotation(o, second, standing) != original {
		t.Error("the next bring-up would replace Pods that are right")
	}
	if annotation(o, third, standing) == original {
		t.Error("images that were never restarted in place keep the annotation")
	}
	if annotation(o, first, standing) == original {
		t.Error("images that were gone back to keep the annotation, though the Pods run others")
	}
	if unfinished := map[string]InPlace{o.ID(): {Annotation: original}}; annotation(o, first, unfinished) == original || annotation(o, second, unfinished) == original {
		t.Error("a restart that was broken off keeps the annotation")
	}
}

func TestStandsFor(t *testing.T) {
	t.Parallel()
	const ref = "docker.io/dynamos1/agent:main"
	for image, want := range map[string]bool{
		"dynamos1/agent:main":                        true,
		"docker.io/dynamos1/agent:dynsandbox-m1x":    true,
		"dynamos1/agent:dynsandbox-m1x-before":       true,
		"dynamos1/agent:other":                       false,
		"docker.io/dynamos1/agents:dynsandbox-m1x":   false,
		"example.org/dynamos1/agent:dynsandbox-m1x":  false,
		"docker.io/dynamos1/sidecar:dynsandbox-m1x3": false,
	} {
		if got := standsFor(image, ref); got != want {
			t.Errorf("%s: %v", image, got)
		}
	}
}

func TestDiffering(t *testing.T) {
	t.Parallel()
	same, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	other, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := same.Digest()
	if err != nil {
		t.Fatal(err)
	}
	a, b := name.MustParseReference("x/a:main").(name.Tag), name.MustParseReference("x/b:main").(name.Tag)
	have := map[string]Image{images.Normalised(a): {Digest: digest.String()}, images.Normalised(b): {Digest: digest.String()}}
	got, err := differing(map[name.Tag]v1.Image{a: same, b: other}, have)
	if err != nil || len(got) != 1 || got[b] == nil {
		t.Errorf("differing: %v, %v", got, err)
	}
}

func TestRefusedChangesAreToldUntilTheyAreIn(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), events: newFeed(nil)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	r.await("agent", images.Reason{File: "go/cmd/agent/main.go", Rule: "its main package"})
	r.refuse("agent", errors.New("main.go:1:1: no"))
	if err := r.problem("agent"); !errors.Is(err, ErrStale) {
		t.Errorf("a refused change: %v", err)
	}
	if r.problem("sidecar") != nil || r.problem("") == nil {
		t.Error("the problem of one service is another's, or nobody's")
	}
	r.done("agent", time.Now(), "restarted")
	if err := r.problem(""); err != nil {
		t.Errorf("after it was mended: %v", err)
	}
	s.events.close()
	var kinds []control.Event_Kind
	if err := s.events.follow(t.Context(), 0, func(e *control.Event) error { kinds = append(kinds, e.Kind); return nil }); err != nil {
		t.Fatal(err)
	}
	if len(kinds) != 3 || kinds[0] != control.Event_CHANGED || kinds[1] != control.Event_REFUSED || kinds[2] != control.Event_RELOADED {
		t.Errorf("events: %v", kinds)
	}
}

func TestWhichFilesChangeTheWorkspace(t *testing.T) {
	t.Parallel()
	r := newReloader(&bringUp{session: &session{}, workspace: &workspace{found: images.Found{
		Services: []images.Service{{Name: "agent", Dir: "go/cmd/agent"}},
		Missing:  []images.Missing{{Name: "new"}},
	}}})
	for file, want := range map[string]bool{
		"charts/agents/values.yaml":                      true,
		"configuration/etcd_launch_files/archetype.json": true,
		"configuration/README.md":                        false,
		"go/cmd/agent/main.go":                           false,
		"go/pkg/rpc/dial.go":                             false,
		"python/new/main.py":                             true, // something refers to it, and it was missing
	} {
		if got := r.concernsWorkspace([]string{file}); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}
