package images

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

const query = "python/query"

func pythonWorkspace(t *testing.T) string {
	t.Helper()
	return writeFiles(t, map[string]string{
		"python/Dockerfile": "FROM python:3.12-slim\nCOPY *.py /app/\nRUN pip install numpy\n", query + "/main.py": "x = 1\n",
	})
}

// pythonBuilder is a builder on an engine that has the base image. The machine's own pip isn't asked.
func pythonBuilder(t *testing.T, workspace string) (*PythonBuilder, *fakeEngine) {
	t.Helper()
	t.Setenv("PATH", t.TempDir())
	withoutSettings(t)
	e := &fakeEngine{has: map[string]bool{"python:3.12-slim": true}}
	docker := e.client(t)
	return &PythonBuilder{&DockerfileBuilder{Workspace: workspace, Cache: t.TempDir(), Docker: docker, Bases: &ThirdParty{Docker: docker, Cache: t.TempDir()}}}, e
}

func buildQuery(t *testing.T, b *PythonBuilder) string {
	t.Helper()
	img, err := b.Build(t.Context(), Service{Name: "query", Dir: query, Language: Python})
	if err != nil {
		t.Fatal(err)
	}
	d, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d.String()
}

// What was built from the same inputs is not built again, in whatever folder they lie; and what takes another's place
// removes it from the engine.
func TestPythonImageIsBuiltOnceForItsInputs(t *testing.T) {
	workspace := pythonWorkspace(t)
	b, e := pythonBuilder(t, workspace)
	first := buildQuery(t, b)
	if again := buildQuery(t, b); again != first || len(e.builds) != 1 {
		t.Errorf("without a change: %d builds, digests %s and %s", len(e.builds), first, again)
	}
	b.Workspace = pythonWorkspace(t)
	if elsewhere := buildQuery(t, b); elsewhere != first || len(e.builds) != 1 {
		t.Errorf("in another folder: %d builds, digests %s and %s", len(e.builds), first, elsewhere)
	}
	b.Workspace = workspace
	for n, change := range []func(){
		func() { writeAt(t, filepath.Join(workspace, query, "main.py"), "x = 2\n") },
		func() {
			writeAt(t, filepath.Join(workspace, "python/Dockerfile"), "FROM python:3.12-slim\nCOPY *.py /app/\n")
		},
		func() { t.Setenv("PIP_INDEX_URL", "https://packages.example/simple") },
	} {
		change()
		if changed := buildQuery(t, b); changed == first || len(e.builds) != n+2 || len(e.built) != 1 {
			t.Errorf("change %d: %d builds, %d images are left, digest %s", n, len(e.builds), len(e.built), changed)
		}
	}
}

// A service whose main program was removed isn't built: nothing would run.
func TestPythonWithoutAMainProgram(t *testing.T) {
	workspace := pythonWorkspace(t)
	b, e := pythonBuilder(t, workspace)
	buildQuery(t, b)
	if err := os.Rename(filepath.Join(workspace, query, "main.py"), filepath.Join(workspace, query, "other.py")); err != nil {
		t.Fatal(err)
	}
	_, err := b.Build(t.Context(), Service{Name: "query", Dir: query, Language: Python})
	if err == nil || !strings.Contains(err.Error(), query+"/main.py is gone") || len(e.builds) != 1 {
		t.Errorf("%v, %d builds", err, len(e.builds))
	}
}

// A package index's password and a company's certificates are no part of an image: they may neither be in what a
// build copies from, nor in its arguments and labels.
func TestPipSettingsLeaveNoTrace(t *testing.T) {
	b, e := pythonBuilder(t, pythonWorkspace(t))
	t.Setenv("PIP_INDEX_URL", "https://me:s3cret@packages.example/simple")
	t.Setenv("PIP_CERT", filepath.Join(writeFiles(t, map[string]string{"ca.crt": "c3rtificate"}), "ca.crt"))
	files := 0
	e.onBuild = func() {
		err := filepath.WalkDir(b.Cache, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			content, err := os.ReadFile(path)
			if bytes.Contains(content, []byte("s3cret")) || bytes.Contains(content, []byte("c3rtificate")) {
				t.Errorf("%s: %s", path, content)
			}
			if d.Name() == "Dockerfile" && !strings.Contains(string(content), "RUN "+pipMounts+" pip install") {
				t.Errorf("pip gets no settings: %s", content)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	buildQuery(t, b)
	if files < 2 {
		t.Errorf("%d files were there to build from", files)
	}
	if asked := e.builds[0].Encode(); strings.Contains(asked, "s3cret") || strings.Contains(asked, "c3rtificate") {
		t.Errorf("asked for %s", asked)
	}
}

func TestLeftoversOfKilledBuildsAreRemoved(t *testing.T) {
	workspace := pythonWorkspace(t)
	writeAt(t, filepath.Join(workspace, "python/lib/setup.py"), "")
	b, e := pythonBuilder(t, workspace)
	for _, left := range []string{"contexts/context-1", "python/library-2"} {
		writeAt(t, filepath.Join(b.Cache, left, "main.py"), "")
	}
	cache, err := pathHash(b.Cache)
	if err != nil {
		t.Fatal(err)
	}
	ours, others := map[string]string{engine.LabelRole: "library", labelCache: cache}, map[string]string{engine.LabelRole: "library", labelCache: "other"}
	e.containers = map[string]map[string]string{"ours": ours, "others": others}
	e.built = []*builtImage{{id: "ours", labels: ours}, {id: "others", labels: others}}
	buildQuery(t, b)
	if diff := cmp.Diff(map[string]map[string]string{"others": others}, e.containers); diff != "" {
		t.Errorf("containers: %s", diff)
	}
	var roles []string
	for _, i := range e.built {
		roles = append(roles, i.labels[engine.LabelRole]+" "+i.labels[labelCache])
	}
	if diff := cmp.Diff([]string{"library other", "service "}, roles); diff != "" {
		t.Errorf("images: %s", diff)
	}
	for _, pattern := range []string{"contexts/context-[0-9]*", "python/library-*"} {
		if left, err := filepath.Glob(filepath.Join(b.Cache, pattern)); err != nil || len(left) != 0 {
			t.Errorf("folders %v are left, error %v", left, err)
		}
	}
}

// A build's folder must not be taken for a leftover while the build runs.
func TestFoldersInUseAreKept(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	first, removeFirst, err := sharedScratchDir(t.Context(), parent, "context-")
	if err != nil {
		t.Fatal(err)
	}
	second, removeSecond, err := sharedScratchDir(t.Context(), parent, "context-")
	if err != nil {
		t.Fatal(err)
	}
	if !exists(first) || !exists(second) {
		t.Error("a folder is gone")
	}
	removeFirst()
	if exists(first) || !exists(second) {
		t.Error("the wrong folder was removed")
	}
	removeSecond()
}

// Our own labels tell builds apart, and must not tell their images apart.
func TestEngineImageHasNoLabelsOfOurs(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	docker, cache := e.client(t), t.TempDir()
	var digests []string
	for _, id := range []string{"one", "two"} {
		e.built = append(e.built, &builtImage{id: id, layers: []string{"the same"}, labels: map[string]string{LabelInputs: id, engine.LabelRole: "service", "org.example": "kept"}})
		kept, err := readEngineImage(t.Context(), docker, cache, id)
		if err != nil {
			t.Fatal(err)
		}
		img, err := kept.image(cache)
		if err != nil {
			t.Fatal(err)
		}
		cf, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]string{"org.example": "kept"}, cf.Config.Labels); diff != "" {
			t.Error(diff)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d.String())
	}
	if digests[0] != digests[1] {
		t.Errorf("equal content has digests %v", digests)
	}
}

// What Python can't read is refused before it is built; what a newer one can isn't.
func TestPythonSyntax(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	workspace := pythonWorkspace(t)
	b, e := pythonBuilder(t, workspace)
	write := func(file, text string) {
		if err := os.WriteFile(filepath.Join(workspace, filepath.FromSlash(file)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := func() error {
		_, err := b.Build(t.Context(), Service{Name: "query", Dir: query, Language: Python})
		return err
	}
	write("python/Dockerfile", "FROM python:3.1-slim\nCOPY *.py /app/\n")
	e.has["python:3.1-slim"] = true
	write(query+"/main.py", "x = 1\nif x\n    pass\n")
	if err := build(); err != nil {
		t.Errorf("without a Python: %v", err)
	}
	t.Setenv("PATH", filepath.Dir(python)+":/usr/bin:/bin")
	if err := build(); err == nil || !strings.Contains(err.Error(), query+"/main.py:2:") {
		t.Errorf("a mistake: %v", err)
	}
	write("python/Dockerfile", "FROM python:3.99-slim\nCOPY *.py /app/\n")
	e.has["python:3.99-slim"] = true
	if err := build(); err != nil {
		t.Errorf("for a newer Python: %v", err)
	}
}
