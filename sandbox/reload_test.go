package sandbox

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/fault"
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

// Whatever keeps Pods running follows its images, those of init containers too; only a Deployment might have two at once.
func TestPinnedWorkloads(t *testing.T) {
	t.Parallel()
	for kind, follows := range map[string]bool{"Deployment": true, "StatefulSet": true, "DaemonSet": true, "Job": false, "Service": false} {
		o := deploymentOf("a/agent:main")
		o.SetKind(kind)
		prepare := []any{map[string]any{"name": "prepare", "image": "a/prepare:main"}}
		if err := unstructured.SetNestedSlice(o.Object, prepare, "spec", "template", "spec", "initContainers"); err != nil {
			t.Fatal(err)
		}
		hashes := map[string]bool{}
		for _, id := range []string{"1", "2"} {
			p, err := pinned(o, Record{Images: map[string]Image{"docker.io/a/agent:main": {ID: "a"}, "docker.io/a/prepare:main": {ID: id}}})
			if err != nil {
				t.Fatal(err)
			}
			hash, _, _ := unstructured.NestedString(p.Object, "spec", "template", "metadata", "annotations", annotationImages)
			hashes[hash] = true
			if _, recreates, _ := unstructured.NestedMap(p.Object, "spec", "strategy"); recreates != (kind == "Deployment") {
				t.Errorf("%s: has a strategy: %v", kind, recreates)
			}
		}
		if follows != (len(hashes) == 2) {
			t.Errorf("%s: annotations %v", kind, hashes)
		}
		in := workspace{rendered: &cluster.Rendered{}}
		in.found.Services = []images.Service{{Name: "agent", Refs: []name.Tag{builtOf(t, "agent", "a/agent:main").Service.Refs[0]}}}
		in.rendered.Objects = []cluster.Object{o}
		if restarts := len(ourWorkloads(&in)) == 1; restarts != follows {
			t.Errorf("%s: restarts: %v", kind, restarts)
		}
	}
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

// builtOf is a service as it was built, with an image of its own.
func builtOf(t *testing.T, service, ref string) images.Built {
	t.Helper()
	img, err := random.Image(10, 1)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return images.Built{Service: images.Service{Name: service, Refs: []name.Tag{tag}}, Image: img}
}

func TestStands(t *testing.T) {
	t.Parallel()
	b := builtOf(t, "a", "x/a:main")
	b.Service.Refs = append(b.Service.Refs, name.MustParseReference("y/a:main").(name.Tag))
	x, y, same := "docker.io/x/a:main", "docker.io/y/a:main", Image{Digest: digestOf(b)}
	for name, tc := range map[string]struct {
		have map[string]Image
		want bool
	}{
		"the same":              {map[string]Image{x: same, y: same}, true},
		"under one of two":      {map[string]Image{x: same}, false},
		"another under the one": {map[string]Image{x: same, y: {Digest: "sha256:1"}}, false},
	} {
		if got := stands(b, tc.have); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Services that share a workload go together, and all others by themselves, so that what fails holds back nobody else.
func TestIndependentRolls(t *testing.T) {
	t.Parallel()
	agent, gateway, sidecar, job := builtOf(t, "agent", "a/agent:main"), builtOf(t, "gateway", "a/gateway:main"), builtOf(t, "sidecar", "a/sidecar:main"), builtOf(t, "job", "a/job:main")
	w := &workspace{rendered: &cluster.Rendered{}}
	for _, b := range []images.Built{agent, gateway, sidecar, job} {
		w.found.Services = append(w.found.Services, b.Service)
	}
	for workload, main := range map[string]string{"uva": "a/agent:main", "vu": "a/agent:main", "gateway": "a/gateway:main"} {
		o := deploymentOf(main, "a/sidecar:main", "elsewhere/other:1")
		o.SetName(workload)
		w.rendered.Objects = append(w.rendered.Objects, o)
	}
	r := newReloader(&bringUp{session: &session{}, workspace: w})
	for name, tc := range map[string]struct {
		built []images.Built
		want  string
	}{
		"one":                 {[]images.Built{agent}, "agent in uva vu"},
		"two that share none": {[]images.Built{agent, gateway}, "agent in uva vu; gateway in gateway"},
		"all":                 {[]images.Built{agent, gateway, job, sidecar}, "agent gateway sidecar in gateway uva vu; job in "},
	} {
		var got []string
		for _, o := range newRolls(r, nil, tc.built, Record{}) {
			services := names(o.built)
			var workloads []string
			for _, w := range o.workloads {
				workloads = append(workloads, w.object.GetName())
				if len(w.containers) != 2 {
					t.Errorf("%s: %s restarts %v, not its main container with its sidecar", name, w.object.GetName(), w.containers)
				}
			}
			slices.Sort(services)
			slices.Sort(workloads)
			got = append(got, strings.Join(services, " ")+" in "+strings.Join(workloads, " "))
		}
		slices.Sort(got)
		if strings.Join(got, "; ") != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// Of services that went together, the one whose container ended is to blame.
func TestBlame(t *testing.T) {
	t.Parallel()
	agent, sidecar := builtOf(t, "agent", "a/agent:main"), builtOf(t, "sidecar", "a/sidecar:main")
	o := &roll{changed: map[string]images.Service{}}
	o.take(agent)
	o.take(sidecar)
	w := rolled{deploymentOf(), map[string]string{"main": "docker.io/a/agent:main", "beside": "docker.io/a/sidecar:main", "third": "docker.io/a/third:main"}}
	for name, tc := range map[string]struct {
		err  error
		want []string
	}{
		"none":                          {nil, nil},
		"a container ended":             {fmt.Errorf("restart: %w", &cluster.Died{Container: "beside"}), []string{"sidecar"}},
		"one that didn't change":        {&cluster.Died{Container: "third"}, []string{"agent", "sidecar"}},
		"it never was ready":            {&fault.Timeout{}, []string{"agent", "sidecar"}},
		"the cluster couldn't be asked": {errors.New("connection refused"), nil},
	} {
		f := &failure{guilty: map[string]bool{}}
		key := o.blame(f, w, tc.err)
		if got := slices.Sorted(maps.Keys(f.guilty)); !slices.Equal(got, tc.want) || (key == "") != (tc.err == nil) {
			t.Errorf("%s: %v, %q", name, got, key)
		}
	}
}

// What didn't start isn't tried again until it is another, or somebody asks for it; and what was told is told once.
func TestCrashedImageIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), events: newFeed(nil)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	bad, other := builtOf(t, "agent", "a/agent:main"), builtOf(t, "agent", "a/agent:main")
	r.await("agent", images.Reason{})
	if r.crashed(bad) {
		t.Fatal("refused before it was tried")
	}
	r.refuseCrashed(errors.New("it panicked"), bad)
	if !r.crashed(bad) || r.crashed(other) {
		t.Error("the same image is tried again, or another isn't")
	}
	r.await("agent", images.Reason{})
	if !r.crashed(bad) {
		t.Error("the same image is tried again after a change that comes to nothing")
	}
	r.tryAgain("agent")
	if r.crashed(bad) {
		t.Error("not tried again though asked for")
	}
	s.events.close()
	refusals := 0
	if err := s.events.follow(t.Context(), 0, func(e *control.Event) error {
		if e.Kind == control.Event_REFUSED {
			refusals++
		}
		return nil
	}); err != nil || refusals != 2 {
		t.Errorf("%d refusals were told, want one for each change: %v", refusals, err)
	}
}

// The error of a builder is told to those whom it concerns.
func TestRefuseBuild(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), events: newFeed(nil)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	var waiting []images.Service
	for _, name := range []string{"agent", "gateway", "job"} {
		r.await(name, images.Reason{})
		waiting = append(waiting, images.Service{Name: name})
	}
	r.refuseBuild(waiting, []images.Built{{Service: images.Service{Name: "job"}}}, errors.Join(
		&images.BuildError{Services: []string{"agent"}, Err: errors.New("main.go:1:1: no")}, errors.New("the engine is gone")))
	got := r.problems()
	if len(got) != 2 || strings.Contains(got["agent"], "engine") || !strings.Contains(got["gateway"], "engine") {
		t.Errorf("refused: %v", got)
	}
}

// The record takes over the sources only when all that differs was reported, and is in the platform.
func TestNoteSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(file, text string) {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func() images.Sources {
		state, err := images.ReadSources(dir)
		if err != nil {
			t.Fatal(err)
		}
		return state
	}
	write("go/a.go", "1")
	write("go/b.go", "1")
	s := &session{state: stateIn(t), events: newFeed(nil), log: slog.New(slog.DiscardHandler)}
	b := &bringUp{session: s, workspace: &workspace{found: images.Found{Services: []images.Service{{Name: "a"}}}}, sources: read()}
	r := newReloader(b)
	noted := func() bool { return b.record.Sources == read().Fingerprint() }

	write("go/a.go", "22")
	r.noted.add([]string{"go/a.go"})
	r.await("a", images.Reason{})
	if r.noteSources(read(), false); noted() {
		t.Error("noted while a change waits")
	}
	r.done("a", time.Now(), "")
	if r.noteSources(read(), false); !noted() {
		t.Error("not noted though all that changed was reported and is in")
	}
	write("go/b.go", "333") // unseen
	write("go/a.go", "333")
	r.noted.add([]string{"go/a.go"})
	if r.noteSources(read(), false); noted() {
		t.Error("noted though a file changed that nobody reported")
	}
	if r.noteSources(read(), true); !noted() {
		t.Error("not noted though all services were built")
	}
}

func TestRefusedChangesAreToldUntilTheyAreIn(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), events: newFeed(nil)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	r.await("agent", images.Reason{File: "go/cmd/agent/main.go", Rule: "its main package"})
	r.refuse(errors.New("main.go:1:1: no"), "agent")
	if err := r.problem("agent"); !errors.Is(err, ErrStale) {
		t.Errorf("a refused change: %v", err)
	}
	if r.problem("sidecar") != nil || r.problem("") == nil {
		t.Error("the problem of one service is another's, or nobody's")
	}
	r.forgetGone() // no service is in the workspace
	if err := r.problem(""); err != nil {
		t.Errorf("after the service is gone: %v", err)
	}
	r.refuse(errors.New("main.go:1:1: no"), "agent")
	r.done("agent", time.Now(), "restarted")
	if err := r.problem(""); err != nil {
		t.Errorf("after it was mended: %v", err)
	}
	s.events.close()
	var kinds []control.Event_Kind
	if err := s.events.follow(t.Context(), 0, func(e *control.Event) error { kinds = append(kinds, e.Kind); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := []control.Event_Kind{control.Event_CHANGED, control.Event_REFUSED, control.Event_REFUSED, control.Event_RELOADED}; !slices.Equal(kinds, want) {
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

// While it can't be told which services use a file, none is left out.
func TestFilesWhoseServicesAreNotKnown(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), events: newFeed(nil)}
	b := &bringUp{session: s, workspace: &workspace{}}
	b.record.Workspace = filepath.Join(t.TempDir(), "gone")
	for _, name := range []string{"agent", "gateway"} {
		b.workspace.found.Services = append(b.workspace.found.Services, images.Service{Name: name, Dir: "go/cmd/" + name, Language: images.Go})
	}
	r := newReloader(b)
	if got := r.affected(t.Context(), []string{"charts/agents/values.yaml", "go/pkg/rpc/dial.go"}); len(got) != 2 || got["agent"].File != "go/pkg/rpc/dial.go" {
		t.Errorf("a source file: %v", got)
	}
	if got := r.affected(t.Context(), []string{"charts/agents/values.yaml"}); len(got) != 0 {
		t.Errorf("charts alone: %v", got)
	}
}

// A change of charts that was refused for a service that came with it is tried again once a file of that service changes.
func TestMendedServiceOfARefusedChange(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	service := func(called string) images.Service {
		folder := filepath.Join(dir, "python", called)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "main.py"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		tag, err := name.NewTag(called + "/" + called + ":main")
		if err != nil {
			t.Fatal(err)
		}
		return images.Service{Name: called, Dir: "python/" + called, Language: images.Python, Refs: []name.Tag{tag}}
	}
	old, fresh := service("old"), service("fresh")
	b := &bringUp{session: &session{}, workspace: &workspace{dir: dir, found: images.Found{Services: []images.Service{old}}}}
	b.record.Workspace = dir
	r := newReloader(b)
	if r.mends(t.Context(), []string{"python/fresh/main.py"}) {
		t.Error("nothing was refused")
	}
	r.tried = &workspace{dir: dir, found: images.Found{Services: []images.Service{old, fresh}}}
	for file, want := range map[string]bool{"python/fresh/main.py": true, "python/old/main.py": false} {
		if got := r.mends(t.Context(), []string{file}); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}

// What a bring-up that failed leaves: reloads go on only where it is known what runs.
func TestReloadsAfterAFailedBringUp(t *testing.T) {
	t.Parallel()
	for text, tc := range map[string]struct {
		failed bringUp
		want   string
	}{
		"nothing was changed":           {bringUp{}, "before"},
		"another service doesn't build": {bringUp{client: &cluster.Client{}}, "before"},
		"new images, old Pods":          {bringUp{loaded: true, built: map[name.Tag]v1.Image{}}, "none"},
		"another cluster":               {bringUp{started: true}, "none"},
		"all was deployed":              {bringUp{deployed: true, loaded: true, built: map[name.Tag]v1.Image{}}, "new"},
	} {
		s := &session{state: stateIn(t), events: newFeed(nil)}
		before := newReloader(&bringUp{session: s, workspace: &workspace{}})
		s.holds.reloader = before
		tc.failed.session, tc.failed.workspace = s, &workspace{}
		tc.failed.leave(before)
		got := "new"
		switch s.reloader() {
		case nil:
			got = "none"
		case before:
			got = "before"
			if before.bring.client != tc.failed.client {
				t.Errorf("%s: reloads go on with the client of before", text)
			}
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", text, got, tc.want)
		}
	}
}
