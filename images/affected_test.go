package images

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sharedSources is a workspace of two Go services that share packages, two Python ones, and a library.
var sharedSources = map[string]string{
	"go/go.mod":                         "module example.test/w\n\ngo 1.21\n",
	"go/cmd/one/main.go":                "package main\n\nimport _ \"example.test/w/pkg/both\"\nimport _ \"example.test/w/pkg/first\"\n\nfunc main() {}\n",
	"go/cmd/one/notes.md":               "",
	"go/cmd/one/config.yaml":            "",
	"go/cmd/two/main.go":                "package main\n\nimport _ \"example.test/w/pkg/both\"\n\nfunc main() {}\n",
	"go/cmd/tool/main.go":               "package main\n\nimport _ \"example.test/w/pkg/idle\"\n\nfunc main() {}\n",
	"go/pkg/both/both.go":               "package both\n\nimport _ \"example.test/w/pkg/deep\"\n",
	"go/pkg/both/both_test.go":          "package both\n\nimport _ \"example.test/w/pkg/idle\"\n",
	"go/pkg/both/testdata/in.go":        "package in\n",
	"go/pkg/deep/deep.go":               "package deep\n",
	"go/pkg/deep/deep_windows.go":       "package deep\n",
	"go/pkg/deep/add_amd64.s":           "",
	"go/pkg/first/first.go":             "package first\n\nimport _ \"embed\"\n\n//go:embed q/*.sql README.md plain\nvar _ string\n\n//go:embed all:site\nvar _ string\n",
	"go/pkg/first/q/a.sql":              "",
	"go/pkg/first/README.md":            "",
	"go/pkg/first/plain/a.txt":          "",
	"go/pkg/first/site/page.html":       "",
	"go/pkg/idle/idle.go":               "package idle\n",
	"proto-files/a.proto":               "",
	"python/Dockerfile":                 "FROM python:3.12\n",
	"python/conftest.py":                "",
	"python/query/main.py":              "",
	"python/query/requirements.txt":     "",
	"python/query/tests/test_x.py":      "",
	"python/sum/main.py":                "",
	"python/lib/setup.py":               "",
	"python/lib/lib/__init__.py":        "",
	"python/lib/tests/test_lib.py":      "",
	"python/lib/protofiles/keep":        "",
	"charts/agents/templates/role.yaml": "",
}

var sharedServices = []Service{
	{Name: "one", Dir: "go/cmd/one", Language: Go}, {Name: "two", Dir: "go/cmd/two", Language: Go},
	{Name: "query", Dir: "python/query", Language: Python}, {Name: "sum", Dir: "python/sum", Language: Python},
}

// sharedWorkspace writes sharedSources, with some files changed or, where the text is "-", left out.
func sharedWorkspace(t *testing.T, changes map[string]string) string {
	t.Helper()
	files := maps.Clone(sharedSources)
	maps.Copy(files, changes)
	maps.DeleteFunc(files, func(_, text string) bool { return text == "-" })
	return writeFiles(t, files)
}

func sharedDependents(t *testing.T, workspace string) *Dependents {
	t.Helper()
	d, err := NewDependents(t.Context(), workspace, sharedServices)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// affected returns which services a change concerns, each with the rule.
func affected(d *Dependents, paths ...string) string {
	var lines []string
	for service, r := range d.Affected(paths) {
		lines = append(lines, service+": "+r.Rule)
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

const (
	module     = "one: Go module, two: Go module"
	unknown    = "one: in a Go folder not known before, two: in a Go folder not known before"
	protos     = "query: proto files, sum: proto files"
	pyLibrary  = "query: Python library, sum: Python library"
	dockerfile = "query: Dockerfile of all Python services, sum: Dockerfile of all Python services"
)

func TestAffected(t *testing.T) {
	t.Parallel()
	d := sharedDependents(t, sharedWorkspace(t, nil))
	for file, want := range map[string]string{
		"go/cmd/one/main.go":                "one: its main package",
		"go/cmd/one/made.go":                "one: its main package",
		"go/cmd/one/default.pgo":            "one: its main package",
		"go/pkg/both/both.go":               "one: imports go/pkg/both, two: imports go/pkg/both",
		"go/pkg/both/both.h":                "one: imports go/pkg/both, two: imports go/pkg/both",
		"go/pkg/deep/deep.go":               "one: imports go/pkg/deep, two: imports go/pkg/deep",
		"go/pkg/deep/deep_windows.go":       "one: imports go/pkg/deep, two: imports go/pkg/deep",
		"go/pkg/deep/add_amd64.s":           "one: imports go/pkg/deep, two: imports go/pkg/deep",
		"go/pkg/first/first.go":             "one: imports go/pkg/first",
		"go/pkg/first/q/a.sql":              "one: embedded by go/pkg/first",
		"go/pkg/first/q/made.sql":           "one: embedded by go/pkg/first",
		"go/pkg/first/README.md":            "one: embedded by go/pkg/first",
		"go/pkg/first/site/css/.made":       "one: embedded by go/pkg/first",
		"go/pkg/first/plain/css/made.css":   "one: embedded by go/pkg/first",
		"go/pkg/first/plain/css/.made":      "",
		"go/pkg/first/q/notes.txt":          "",
		"go/pkg/both/both_test.go":          "",
		"go/pkg/both/testdata/in.go":        "",
		"go/pkg/both/testdata/go.mod":       "",
		"go/pkg/both/.#both.go":             "",
		"go/cmd/one/notes.md":               "",
		"go/cmd/one/config.yaml":            "",
		"go/cmd/tool/main.go":               "", // no service
		"go/pkg/idle/idle.go":               "", // only a test and the tool import it
		"go/pkg/made/made.go":               unknown,
		"go/pkg/made/made_test.go":          "",
		"go/pkg/made/made.sql":              "",
		"go/go.mod":                         module,
		"go/go.sum":                         module,
		"go/go.work":                        module,
		"go.work":                           module,
		"go/pkg/go.mod":                     module, // it takes its packages out of the module
		"go/pkg/idle/go.mod":                "",
		"go/vendor/modules.txt":             module,
		"go/pkg/both":                       "one: imports go/pkg/both, two: imports go/pkg/both", // removed as a whole
		"go/pkg/first/q/":                   "one: embedded by go/pkg/first",
		"python/query/main.py":              "query: its folder",
		"python/query/requirements.txt":     "query: its requirements.txt",
		"python/query/data/made.csv":        "query: its folder",
		"python/query/Dockerfile":           "", // python/Dockerfile stands for it
		"python/query/README.md":            "",
		"python/query/tests/test_x.py":      "",
		"python/query/__pycache__/m.pyc":    "",
		"python/sum":                        "sum: its folder",
		"python/lib/setup.py":               pyLibrary,
		"python/lib/lib/made.py":            pyLibrary,
		"python/lib/protofiles/a_pb2.py":    pyLibrary,
		"python/lib/tests/test_lib.py":      "",
		"python/lib/lib.egg-info/x":         "",
		"python/lib/build/lib/x.py":         "",
		"python/Dockerfile":                 dockerfile,
		"python/conftest.py":                "",
		"python/made/main.py":               "",
		"proto-files/a.proto":               protos,
		"proto-files/README.txt":            "",
		"charts/agents/templates/role.yaml": "",
	} {
		if got := affected(d, file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
}

func TestAffectedTellsOneReasonForEachService(t *testing.T) {
	t.Parallel()
	d := sharedDependents(t, sharedWorkspace(t, nil))
	want := map[string]Reason{
		"one":   {"go/cmd/one/main.go", "its main package"},
		"two":   {"go/pkg/deep/deep.go", "imports go/pkg/deep"},
		"query": {"python/Dockerfile", "Dockerfile of all Python services"},
		"sum":   {"python/Dockerfile", "Dockerfile of all Python services"},
	}
	for _, paths := range [][]string{
		{"go/cmd/one/main.go", "go/pkg/deep/deep.go", "python/Dockerfile", "python/sum/main.py", "README.md"},
		{"README.md", "python/sum/main.py", "python/Dockerfile", "go/pkg/deep/deep.go", "go/cmd/one/main.go"},
	} {
		if diff := cmp.Diff(want, d.Affected(paths)); diff != "" {
			t.Errorf("%v: %s", paths, diff)
		}
	}
	if got := d.Affected(nil); len(got) > 0 {
		t.Errorf("no change affects %v", got)
	}
}

func TestPythonSourcesFollowTheBuilder(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		changes    map[string]string
		file, want string
	}{
		"generated modules lie beside the library": {map[string]string{"python/lib/protofiles/a_pb2.py": ""}, "proto-files/a.proto", ""},
		"no library":                 {map[string]string{"python/lib/setup.py": "-"}, "proto-files/a.proto", ""},
		"no shared Dockerfile":       {map[string]string{"python/Dockerfile": "-"}, "python/query/Dockerfile", "query: its Dockerfile"},
		"the shared one was removed": {map[string]string{"python/Dockerfile": "-"}, "python/Dockerfile", dockerfile},
	} {
		if got := affected(sharedDependents(t, sharedWorkspace(t, c.changes)), c.file); got != c.want {
			t.Errorf("%s: %s: got %q, want %q", name, c.file, got, c.want)
		}
	}
	workspace := sharedWorkspace(t, map[string]string{"python/lib/setup.py": "-"})
	d := sharedDependents(t, workspace)
	addFile(t, workspace, "python/lib/pyproject.toml", "")
	if got := affected(d, "python/lib/pyproject.toml"); got != pyLibrary {
		t.Errorf("a folder that became a library: got %q", got)
	}
}

func addFile(t *testing.T, workspace, file, text string) {
	t.Helper()
	full := filepath.Join(workspace, file)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRefreshFollowsImports(t *testing.T) {
	t.Parallel()
	workspace := sharedWorkspace(t, nil)
	d := sharedDependents(t, workspace)
	addFile(t, workspace, "go/cmd/two/main.go", "package main\n\nimport _ \"example.test/w/pkg/made\"\n\nfunc main() {}\n")
	addFile(t, workspace, "go/pkg/made/made.go", "package made\n")
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"go/pkg/made/made.go": "two: imports go/pkg/made",
		"go/pkg/both/both.go": "one: imports go/pkg/both",
	} {
		if got := affected(d, file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
}

func TestBrokenSourcesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	const half = "package both\n\nimport _ \"example.test/w/pkg/deep\"\n\nfunc ("
	workspace := sharedWorkspace(t, map[string]string{
		"go/cmd/two/main.go":  "package main\n\nimport _ \"example.test/w/pkg/both\"\nimport _ \"example.test/w/pkg/gone\"\nimport _ \"example.test/w/pkg/tests\"\n",
		"go/pkg/both/both.go": half, "go/pkg/tests/x_test.go": "package tests\n",
		"go/cmd/one/main.go": "",
	})
	d := sharedDependents(t, workspace)
	for file, want := range map[string]string{
		"go/cmd/one/main.go":   "one: its main package",
		"go/pkg/deep/deep.go":  "two: imports go/pkg/deep",
		"go/pkg/tests/made.go": "two: imports go/pkg/tests",
		"go/pkg/gone/gone.go":  unknown,
	} {
		if got := affected(d, file); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
	// Without a module nothing is known but the services' own folders.
	addFile(t, workspace, "go/go.mod", "modul")
	if err := d.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"go/cmd/two/main.go":  "two: its main package",
		"go/pkg/deep/deep.go": unknown,
		"go/go.mod":           module,
	} {
		if got := affected(d, file); got != want {
			t.Errorf("without a module: %s: got %q, want %q", file, got, want)
		}
	}
}

// A machine may have none of the modules that services require, or no network: the workspace's own imports are known
// all the same, and nothing is asked for.
func TestDependentsDownloadNothing(t *testing.T) {
	asked := make(chan string, 100)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		http.NotFound(w, r)
	}))
	defer proxy.Close()
	t.Setenv("GOPROXY", proxy.URL)
	t.Setenv("GONOPROXY", "")
	t.Setenv("GOPRIVATE", "")
	t.Setenv("GOFLAGS", "-mod=mod")
	hash := strings.Repeat("A", 43) + "="
	d := sharedDependents(t, sharedWorkspace(t, map[string]string{
		"go/go.mod":          "module example.test/w\n\ngo 1.21\n\nrequire absent.test/m v1.0.0\n",
		"go/go.sum":          fmt.Sprintf("absent.test/m v1.0.0 h1:%s\nabsent.test/m v1.0.0/go.mod h1:%s\n", hash, hash),
		"go/cmd/two/main.go": "package main\n\nimport _ \"absent.test/m\"\nimport _ \"example.test/w/pkg/both\"\n\nfunc main() {}\n",
	}))
	if got, want := affected(d, "go/pkg/deep/deep.go"), "one: imports go/pkg/deep, two: imports go/pkg/deep"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(asked) > 0 {
		t.Errorf("the proxy was asked for %s", <-asked)
	}
}

func TestCancelledRefreshKeepsWhatWasKnown(t *testing.T) {
	t.Parallel()
	d := sharedDependents(t, sharedWorkspace(t, nil))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Refresh(ctx); err == nil {
		t.Error("no error")
	}
	if got, want := affected(d, "go/pkg/first/first.go"), "one: imports go/pkg/first"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDependentsOfAWorkspaceBehindALink(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(sharedWorkspace(t, nil), link); err != nil {
		t.Fatal(err)
	}
	if got, want := affected(sharedDependents(t, link), "go/pkg/first/first.go"), "one: imports go/pkg/first"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
