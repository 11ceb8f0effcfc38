package images

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func names(lacks []Lack) []string {
	out := []string{}
	for _, l := range lacks {
		out = append(out, l.Name)
	}
	return out
}

// Offline, a Python service lacks its base; with it, the packages that its image would have to be built with; and nothing
// when the engine has an image of the same sources, built on a machine with other settings for pip.
func TestPythonLacks(t *testing.T) {
	workspace := pythonWorkspace(t)
	b, e := pythonBuilder(t, workspace)
	svc := Service{Name: "query", Dir: query, Language: Python}
	all := Builders{Python: Recorded{Builder: Limited{Each: b}}}
	lacks := func() []string {
		t.Helper()
		b.Bases.Offline = true
		defer func() { b.Bases.Offline = false }()
		got, err := all.Lacks(t.Context(), []Service{svc})
		if err != nil {
			t.Fatal(err)
		}
		return names(got)
	}
	delete(e.has, "python:3.12-slim")
	if got := lacks(); !slices.Equal(got, []string{"python:3.12-slim"}) {
		t.Errorf("without a base it lacks %q", got)
	}
	e.has["python:3.12-slim"] = true
	if got := lacks(); !slices.Equal(got, []string{"the packages of query"}) {
		t.Errorf("with only a base it lacks %q", got)
	}
	t.Setenv("PIP_INDEX_URL", "https://packages.example/simple")
	first := buildQuery(t, b)
	t.Setenv("PIP_INDEX_URL", "")
	b.Cache = t.TempDir() // another machine
	if got := lacks(); len(got) > 0 {
		t.Errorf("with an image of its sources it lacks %q", got)
	}
	b.Bases.Offline = true
	if got := buildQuery(t, b); got != first || len(e.builds) != 1 {
		t.Errorf("%d builds, digests %s and %s", len(e.builds), first, got)
	}
	b.Bases.Offline = false
	writeAt(t, filepath.Join(workspace, query, "requirements.txt"), "pandas\n")
	if got := lacks(); !slices.Equal(got, []string{"the packages of query"}) {
		t.Errorf("with other requirements it lacks %q", got)
	}
}

// Where nothing may be fetched, a build's steps get no network.
func TestOfflineBuildsHaveNoNetwork(t *testing.T) {
	b, e := pythonBuilder(t, pythonWorkspace(t))
	buildQuery(t, b)
	writeAt(t, filepath.Join(b.Workspace, "python/Dockerfile"), "FROM python:3.12-slim\nCOPY *.py /app/\n")
	b.Bases.Offline = true
	buildQuery(t, b)
	if with, without := e.builds[0].Get("networkmode"), e.builds[1].Get("networkmode"); with == "none" || without != "none" {
		t.Errorf("networks %q and %q", with, without)
	}
}

// moduleWorkspace has a service whose one import is in no cache.
func moduleWorkspace(t *testing.T) (*GoBuilder, []Service) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
	t.Setenv("GOMODCACHE", filepath.Join(t.TempDir(), "mod"))
	t.Setenv("GOFLAGS", "-modcacherw")
	sum := "h1:" + strings.Repeat("A", 43) + "="
	b := &GoBuilder{Cache: t.TempDir(), Offline: true, Workspace: writeFiles(t, map[string]string{
		"go/go.mod":           "module example.com/w\n\ngo 1.26\n\nrequire example.com/Dep v1.0.0\n",
		"go/go.sum":           "example.com/Dep v1.0.0 " + sum + "\nexample.com/Dep v1.0.0/go.mod " + sum + "\n",
		"go/cmd/one/main.go":  "package main\n\nimport \"example.com/Dep\"\n\nfunc main() { Dep.Do() }\n",
		"go/cmd/two/main.go":  "package main\n\nfunc main() {}\n",
		"go/cmd/two/other.go": "package main\n",
	})}
	return b, []Service{{Name: "one", Dir: "go/cmd/one", Language: Go}, {Name: "two", Dir: "go/cmd/two", Language: Go}}
}

func TestGoLacks(t *testing.T) {
	b, services := moduleWorkspace(t)
	got, err := b.lacks(t.Context(), services)
	if err != nil || !slices.Equal(names(got), []string{"example.com/Dep@v1.0.0"}) {
		t.Errorf("it lacks %q, error %v", names(got), err)
	}
	if got, err := b.lacks(t.Context(), services[1:]); err != nil || len(got) > 0 {
		t.Errorf("a service without imports lacks %q, error %v", names(got), err)
	}
}

// Binaries that came with a bundle are used as long as the sources are those that they were made of.
func TestGoBundledBinaries(t *testing.T) {
	b, services := moduleWorkspace(t)
	hash, err := b.sourcesHash()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(b.Cache, goBundledDir, hash)
	for _, s := range services {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		writeAt(t, filepath.Join(dir, s.Name), "binary of "+s.Name)
	}
	if got, err := b.lacks(t.Context(), services); err != nil || len(got) > 0 {
		t.Errorf("it lacks %q, error %v", names(got), err)
	}
	built, err := b.Build(t.Context(), services...)
	if err != nil || len(built) != 2 {
		t.Fatalf("built %v, error %v", built, err)
	}
	b.Workspace = copyOf(t, b.Workspace) // times and places don't matter
	if _, err := b.Build(t.Context(), services...); err != nil {
		t.Errorf("a copy of the workspace: %v", err)
	}
	writeAt(t, filepath.Join(b.Workspace, "go/cmd/two/other.go"), "package main\n\nvar changed = 1\n")
	if _, err := b.Build(t.Context(), services...); err == nil || !strings.Contains(err.Error(), "example.com/Dep") {
		t.Errorf("changed sources: error %v, want that they can't be compiled here", err)
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestModuleFile(t *testing.T) {
	t.Parallel()
	if got, want := moduleFile("github.com/BurntSushi/toml", "v1.0.0-RC1", "zip"), "github.com/!burnt!sushi/toml/@v/v1.0.0-!r!c1.zip"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
