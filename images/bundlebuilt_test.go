package images

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Offline, a service with a Dockerfile lacks its base; then what a step fetches, unless the engine has an image of the
// same inputs. What is built then gets no network.
func TestDockerfileLacks(t *testing.T) {
	workspace := writeFiles(t, map[string]string{"rust/x/Dockerfile": "FROM rust:1\nRUN curl example.org\nCOPY . .\n", "rust/x/main.rs": ""})
	b, e := pythonBuilder(t, workspace)
	dockerfiles := b.DockerfileBuilder
	dockerfiles.Bases.Offline = true
	all := Builders{Dockerfile: Recorded{Builder: Limited{Each: dockerfiles}}}
	svc := Service{Name: "x", Dir: "rust/x", Language: Dockerfile}
	lacks := func() []string {
		t.Helper()
		got, err := all.Lacks(t.Context(), []Service{svc})
		if err != nil {
			t.Fatal(err)
		}
		return names(got)
	}
	if got := lacks(); !slices.Equal(got, []string{"rust:1"}) {
		t.Errorf("without a base it lacks %q", got)
	}
	e.has["rust:1"] = true
	if got := lacks(); len(got) != 1 || !strings.Contains(got[0], "fetches") {
		t.Errorf("with only a base it lacks %q", got)
	}
	if _, err := dockerfiles.Build(t.Context(), svc); err != nil {
		t.Fatal(err)
	}
	if network := e.builds[0].Get("networkmode"); network != "none" {
		t.Errorf("its steps had the network %q", network)
	}
	if got := lacks(); len(got) > 0 {
		t.Errorf("with an image of its sources it lacks %q", got)
	}
	writeAt(t, filepath.Join(workspace, "rust/x/main.rs"), "changed")
	if got := lacks(); len(got) != 1 {
		t.Errorf("with other sources it lacks %q", got)
	}
}

// Services are packed through whatever decorates their builders; of a language that nobody builds, the service is named.
func TestPackFindsTheBuilders(t *testing.T) {
	workspace := writeFiles(t, map[string]string{"rust/x/dynsandbox.yaml": "build: [\"true\"]\noci: out\nignore: [ran]\n"})
	ours := compressedImage(t, "linux", runtime.GOARCH)
	if _, err := layout.Write(filepath.Join(workspace, "rust/x/out"), indexOf(t, ours)); err != nil {
		t.Fatal(err)
	}
	e, docker := newImageStore(t)
	p, err := NewPacker(t.Context(), docker, t.TempDir(), "v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	b := &CommandBuilder{Workspace: workspace, Cache: t.TempDir(), Docker: docker}
	all := Builders{Command: Recorded{Builder: &Cached{Builder: Limited{Each: b}}}}
	x := Service{Name: "x", Dir: "rust/x", Language: Command}
	if err := all.Pack(t.Context(), p, []Service{x}); err != nil {
		t.Fatal(err)
	}
	images := p.Bundle().Images
	if len(images) != 1 || images[0].Name != "x" || e.images[images[0].Ref] == nil {
		t.Fatalf("packed %v", images)
	}
	if lacks, err := all.Lacks(t.Context(), []Service{x}); err != nil || len(lacks) > 0 {
		t.Errorf("it lacks %v, error %v", lacks, err)
	}
	if err := all.Pack(t.Context(), p, []Service{{Name: "y", Language: "cobol"}}); err == nil || !strings.Contains(err.Error(), "pack y: ") {
		t.Errorf("a language without a builder: error %v", err)
	}
	// Elsewhere the command can't be run: its image is taken, as long as the sources are those that it was made of.
	elsewhere := &CommandBuilder{Workspace: copyOf(t, workspace), Cache: t.TempDir(), Docker: docker, Offline: true}
	if err := os.RemoveAll(filepath.Join(elsewhere.Workspace, "rust/x/out")); err != nil {
		t.Fatal(err)
	}
	if img, err := elsewhere.bundled(t.Context(), x); err != nil || img == nil {
		t.Errorf("the same sources: image %v, error %v", img, err)
	}
	writeAt(t, filepath.Join(elsewhere.Workspace, "rust/x/main.rs"), "changed")
	if img, err := elsewhere.bundled(t.Context(), x); err != nil || img != nil {
		t.Errorf("changed sources: image %v, error %v", img, err)
	}
	elsewhere.Offline = false
	if img, err := elsewhere.bundled(t.Context(), x); err != nil || img != nil {
		t.Errorf("with a network: image %v, error %v", img, err)
	}
}

// What a command writes without saying so would make its image one of other sources.
func TestPackOfCommandThatChangesItsSources(t *testing.T) {
	t.Parallel()
	workspace := writeFiles(t, map[string]string{"rust/x/dynsandbox.yaml": "build: [sh, -c, \"echo > written\"]\noci: out\n"})
	if _, err := layout.Write(filepath.Join(workspace, "rust/x/out"), indexOf(t, compressedImage(t, "linux", runtime.GOARCH))); err != nil {
		t.Fatal(err)
	}
	b := &CommandBuilder{Workspace: workspace, Cache: t.TempDir()}
	if err := b.pack(t.Context(), nil, []Service{{Name: "x", Dir: "rust/x", Language: Command}}); err == nil || !strings.Contains(err.Error(), "ignore") {
		t.Errorf("got error %v", err)
	}
}

// A binary for a debugger is another than one that isn't.
func TestBundledBinariesKnowDebug(t *testing.T) {
	t.Parallel()
	b := GoBuilder{Workspace: writeFiles(t, map[string]string{"go/go.mod": "module m\n"})}
	plain, err := b.sourcesHash()
	if err != nil || plain == "" {
		t.Fatalf("hash %q, error %v", plain, err)
	}
	b.Debug = true
	if debug, err := b.sourcesHash(); err != nil || debug == plain {
		t.Errorf("hash %q for both, error %v", debug, err)
	}
}
