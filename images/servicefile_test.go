package images

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

func TestServiceFile(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want commandBuild
		bad  []string
	}{
		"a command alone": {"# how\nbuild: [make, x]\n", commandBuild{argv: []string{"make", "x"}, image: "x"}, nil},
		"an image":        {"build:\n  - make\nimage: acc/x:dev\nignore: [target]\n", commandBuild{argv: []string{"make"}, image: "acc/x:dev", ignore: []string{"target"}}, nil},
		"a layout":        {"build: [make]\noci: out/oci\n", commandBuild{argv: []string{"make"}, oci: "out/oci"}, nil},
		"an unknown key":  {"build: [make]\nimagee: a\n", commandBuild{}, []string{`rust/x/dynsandbox.yaml:2:1: unknown key "imagee" (did you mean "image"?)`}},
		"two results": {"build: [make]\nimage: a\noci: b\n", commandBuild{},
			[]string{"rust/x/dynsandbox.yaml:3:1: the command leaves either an image in the engine or an OCI layout, not both"}},
		"a line for a shell": {"build: make x\n", commandBuild{}, []string{`rust/x/dynsandbox.yaml:1:8: it must be a list of strings (build: ["make x"])`}},
		"no command":         {"image: a\n", commandBuild{}, []string{`rust/x/dynsandbox.yaml:1:1: it has no command to build with (build: ["make", "image"])`}},
		"nothing":            {"", commandBuild{}, []string{`rust/x/dynsandbox.yaml:1:1: it has no command to build with (build: ["make", "image"])`}},
		"a number":           {"build: [make, 1]\n", commandBuild{}, []string{"rust/x/dynsandbox.yaml:1:15: it must be a string, and not empty (put it in quotes)"}},
		"a folder elsewhere": {"build: [make]\noci: ../y\n", commandBuild{}, []string{`rust/x/dynsandbox.yaml:2:1: "../y" is not below the service's folder`}},
		"the folder itself":  {"build: [make]\noci: ./\n", commandBuild{}, []string{`rust/x/dynsandbox.yaml:2:1: "./" is not below the service's folder`}},
		"no name":            {"build: [make]\nimage: \"a b\"\n", commandBuild{}, []string{`rust/x/dynsandbox.yaml:2:1: "a b" is no name of an image`}},
		"not YAML":           {"build: [make\n", commandBuild{}, []string{"rust/x/dynsandbox.yaml:1:8: sequence end token ']' not found"}},
	} {
		workspace := writeFiles(t, map[string]string{"rust/x/dynsandbox.yaml": tc.text})
		got, err := readServiceFile(workspace, Service{Name: "x", Dir: "rust/x", Language: Command})
		var bad []string
		for _, i := range fault.AsInvalids(err) {
			bad = append(bad, i.Error())
		}
		if err != nil && bad == nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tc.bad, bad); diff != "" {
			t.Errorf("%s: problems: %s", name, diff)
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(commandBuild{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestDiscoverOtherLanguages(t *testing.T) {
	t.Parallel()
	workspace := writeFiles(t, map[string]string{
		"go/Dockerfile": "usual", "go/cmd/agent/main.go": "", "go/cmd/agent/Dockerfile": "usual", "go/cmd/sum/main.go": "", "go/cmd/sum/Dockerfile": "special",
		"python/query/main.py": "", "python/query/Dockerfile": "x", "python/r/Dockerfile": "x", "rust/x/Dockerfile": "x",
		"java/y/dynsandbox.yaml": "build: [make]", "java/y/Dockerfile": "x", "charts/core/Dockerfile": "x", "java/z/README.md": "",
	})
	refs := Refs{Jobs: []string{"agent", "sum", "query", "r", "x", "y", "core", "z"}}
	found, err := Discover(workspace, refs)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range found.Services {
		got[s.Dir] = s.Language
	}
	want := map[string]string{"go/cmd/agent": Go, "go/cmd/sum": Dockerfile, "python/query": Python, "python/r": Dockerfile, "rust/x": Dockerfile, "java/y": Command}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(found.Missing) != 2 {
		t.Errorf("missing: %v, want core and z", found.Missing)
	}
	dirs, err := SourceFolders(workspace)
	if diff := cmp.Diff([]string{"go", "java", "proto-files", "python", "rust"}, dirs); diff != "" || err != nil {
		t.Errorf("folders with sources: %s (%v)", diff, err)
	}
	if changed, err := BuiltOtherwise(workspace, found.Services); changed || err != nil {
		t.Errorf("built otherwise without a change (%v)", err)
	}
	if err := os.Remove(filepath.Join(workspace, "java/y/dynsandbox.yaml")); err != nil {
		t.Fatal(err)
	}
	if changed, err := BuiltOtherwise(workspace, found.Services); !changed || err != nil {
		t.Errorf("a service without its file any more is built as before (%v)", err)
	}
	writeFile(t, filepath.Join(workspace, "java/y/dynsandbox.yaml"), "biuld: [make]")
	if _, err := Discover(workspace, refs); fault.AsInvalids(err) == nil {
		t.Errorf("a mistake in a service's file: got error %v", err)
	}
}
