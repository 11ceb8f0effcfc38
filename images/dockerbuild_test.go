package images

import (
	"errors"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// contextOf lists the files of the context from which a build is made.
func contextOf(t *testing.T, b *DockerfileBuilder) (files []string) {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(b.Cache, "contexts", "context-[0-9]*"))
	if err != nil || len(dirs) != 1 {
		t.Errorf("contexts %v, error %v", dirs, err)
		return nil
	}
	err = filepath.WalkDir(dirs[0], func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dirs[0], path)
			files = append(files, rel)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

func TestDockerfileBuilds(t *testing.T) {
	workspace := writeFiles(t, map[string]string{
		"rust/x/Dockerfile": "FROM rust:1\nARG LEVEL\nCOPY . .\n", "rust/x/src/main.rs": "", "rust/x/target/debug/x": "binary", "rust/x/.dockerignore": "target\n*.md\n!keep.md\n",
		"rust/x/notes.md": "", "rust/x/keep.md": "",
		"go/go.mod": "module m\n", "go/pkg/lib/lib.go": "package lib", "go/pkg/venv/venv.go": "package venv", "go/cmd/sum/main.go": "", "go/cmd/sum/Dockerfile": "FROM golang:1\n",
	})
	b, e := pythonBuilder(t, workspace)
	e.has["rust:1"], e.has["golang:1"] = true, true
	b.Args = map[string]string{"LEVEL": "9"}
	x, sum := Service{Name: "x", Dir: "rust/x", Language: Dockerfile}, Service{Name: "sum", Dir: "go/cmd/sum", Language: Dockerfile}
	var files []string
	e.onBuild = func() { files = contextOf(t, b.DockerfileBuilder) }
	build := func(svc Service) {
		t.Helper()
		if _, err := b.DockerfileBuilder.Build(t.Context(), svc); err != nil {
			t.Fatal(err)
		}
	}
	build(x)
	if diff := cmp.Diff([]string{".dockerignore", "Dockerfile", "keep.md", "src/main.rs"}, files); diff != "" {
		t.Errorf("context: %s", diff)
	}
	if args := e.builds[0].Get("buildargs"); !strings.Contains(args, `"LEVEL":"9"`) || !strings.Contains(args, `"NAME":"x"`) {
		t.Errorf("arguments %s", args)
	}
	build(sum)
	if diff := cmp.Diff([]string{"Dockerfile", "go.mod", "main.go", "pkg/lib/lib.go", "pkg/venv/venv.go"}, files); diff != "" {
		t.Errorf("context of a Go service: %s", diff)
	}
	// What the builder doesn't see makes no new image; what it sees does.
	for path, builds := range map[string]int{"rust/x/target/debug/x": 0, "rust/x/notes.md": 0, "rust/x/src/main.rs": 1, "rust/x/.dockerignore": 1} {
		before := len(e.builds)
		writeAt(t, filepath.Join(workspace, path), "changed\n")
		if build(x); len(e.builds)-before != builds {
			t.Errorf("%s: %d builds, want %d", path, len(e.builds)-before, builds)
		}
		if path == "rust/x/.dockerignore" {
			writeAt(t, filepath.Join(workspace, path), "target\n*.md\n!keep.md\n")
			build(x)
		}
	}
	before := len(e.builds)
	b.Args = map[string]string{"LEVEL": "1"}
	if build(x); len(e.builds) != before+1 {
		t.Error("another argument made no other image")
	}
}

// The error is the service's own: the load would refuse all services for it.
func TestDockerfileMakesAnImageForAnotherMachine(t *testing.T) {
	workspace := writeFiles(t, map[string]string{"rust/x/Dockerfile": "FROM --platform=linux/s390x rust:1\n"})
	b, e := pythonBuilder(t, workspace)
	e.has["rust:1"], e.builtFor = true, "s390x"
	_, err := Limited{Each: b.DockerfileBuilder}.Build(t.Context(), Service{Name: "x", Dir: "rust/x", Language: Dockerfile})
	if err := ErrorsByService(err)["x"]; !errors.Is(err, ErrPlatform) {
		t.Errorf("got error %v", err)
	}
}

// noBuildKit is an engine that has only the classic builder.
type noBuildKit struct{ *fakeEngine }

func (n noBuildKit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/build"):
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(`{"message":"unknown parameter"}`)) //nolint:errcheck // the client sees it
	case strings.HasSuffix(r.URL.Path, "/_ping"):
		w.Header().Set("Builder-Version", "1")
	default:
		n.fakeEngine.ServeHTTP(w, r)
	}
}

func TestEngineWithoutBuildKitIsRefused(t *testing.T) {
	workspace := writeFiles(t, map[string]string{"rust/x/Dockerfile": "FROM rust:1\n"})
	b, e := pythonBuilder(t, workspace)
	e.has["rust:1"] = true
	b.Docker = engineClient(t, noBuildKit{e})
	_, err := b.DockerfileBuilder.Build(t.Context(), Service{Name: "x", Dir: "rust/x", Language: Dockerfile})
	if !errors.Is(err, ErrNoBuildKit) {
		t.Errorf("got error %v", err)
	}
}

func TestDependentsOfOtherLanguages(t *testing.T) {
	t.Parallel()
	workspace := writeFiles(t, map[string]string{
		"rust/x/Dockerfile": "", "rust/x/.dockerignore": "target\n", "rust/y/dynsandbox.yaml": "build: [make]\noci: out\nignore: [logs]\n", "rust/z/Dockerfile": "",
		"go/cmd/sum/Dockerfile": "special",
	})
	d, err := NewDependents(t.Context(), workspace, []Service{
		{Name: "x", Dir: "rust/x", Language: Dockerfile}, {Name: "y", Dir: "rust/y", Language: Command}, {Name: "sum", Dir: "go/cmd/sum", Language: Dockerfile},
	})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"rust/x/src/main.rs":     "x: its folder",
		"rust/x/Dockerfile":      "x: its Dockerfile",
		"rust/x/target/debug/x":  "",
		"rust/x/.main.rs.swp":    "",
		"rust/x":                 "x: its folder",
		"rust/y/dynsandbox.yaml": "y: its dynsandbox.yaml",
		"rust/y/out/index.json":  "",
		"rust/y/logs/today":      "",
		"rust/common/lib.rs":     "y: its command may read it",
		"rust/Cargo.toml":        "y: its command may read it",
		"rust/z/main.rs":         "", // another service's
		"proto-files/a.proto":    "y: its command may read it",
		"go/cmd/sum/main.go":     "sum: its folder",
		"go/pkg/lib/lib.go":      "sum: copied into its build",
		"go/go.sum":              "sum: copied into its build",
		"go/Makefile":            "",
		"charts/core/x.yaml":     "",
	} {
		if got := affected(d, file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
	// The fingerprint agrees.
	before := fingerprintOf(t, workspace)
	for _, path := range []string{"rust/x/target/a", "rust/y/out/a", "rust/y/logs/a"} {
		writeFile(t, filepath.Join(workspace, path), "")
	}
	if after := fingerprintOf(t, workspace); after != before {
		t.Error("what isn't built of shows in the fingerprint")
	}
	writeFile(t, filepath.Join(workspace, "rust/x/src/main.rs"), "")
	if after := fingerprintOf(t, workspace); after == before {
		t.Error("a source in another language doesn't show in the fingerprint")
	}
}

// One exception must not make sources of everything else that is left out: what a command writes would be a reason to run
// it again.
func TestExceptionsOfWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	workspace := writeFiles(t, map[string]string{
		"rust/x/Dockerfile": "", "rust/x/.dockerignore": "target\n!target/keep\n*.md\n", "rust/x/target/keep": "",
		"rust/y/dynsandbox.yaml": "build: [make]\noci: ./out/oci\nignore: [logs, '!logs/keep']\n",
	})
	d, err := NewDependents(t.Context(), workspace, []Service{{Name: "x", Dir: "rust/x", Language: Dockerfile}, {Name: "y", Dir: "rust/y", Language: Command}})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"rust/x/notes.md":           "",
		"rust/x/target/debug/x":     "",
		"rust/x/target/keep":        "x: its folder",
		"rust/y/out/oci/index.json": "",
		"rust/y/out/made.rs":        "y: its folder",
		"rust/y/logs/today":         "",
		"rust/y/logs/.git/x":        "",
		"rust/y/logs/keep":          "y: its folder",
	} {
		if got := affected(d, file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
		before := fingerprintOf(t, workspace)
		writeAt(t, filepath.Join(workspace, file), "changed")
		if after := fingerprintOf(t, workspace); (after != before) != (want != "") {
			t.Errorf("%s: it shows in the fingerprint: %t", file, after != before)
		}
	}
}
