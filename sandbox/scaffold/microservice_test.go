package scaffold

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// cases are services that are added to workspaces in testdata, each of which is written in its own way.
var cases = map[string]struct {
	workspace string
	service   Microservice
}{
	"python-after": {"compact.txtar", Microservice{Name: "double-check", After: []string{"sql-query"}}},
	"go-before-optional": {"compact.txtar", Microservice{
		Name: "mask", Language: "go", Label: dataProvider, Before: []string{"sql-algorithm"}, Option: "mask",
	}},
	"spread-python-default": {"spread.txtar", Microservice{Name: "double-check"}},
	"spread-go-between": {"spread.txtar", Microservice{
		Name: "mask", Language: "go", Label: computeProvider, After: []string{"sql-query"}, Before: []string{"sql-algorithm"}, Option: "mask",
	}},
	"spread-last":       {"spread.txtar", Microservice{Name: "report", After: []string{"sql-algorithm"}}},
	"spread-empty-type": {"spread.txtar", Microservice{Name: "lonely", RequestType: "genericRequest"}},
	"spread-empty-type-option": {"spread.txtar", Microservice{
		Name: "lonely", RequestType: "genericRequest", Option: "alone",
	}},
}

func add(t *testing.T, w Workspace, m Microservice) *Added {
	t.Helper()
	a, err := AddMicroservice(w, m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The whole diff; thinking it out, as a dry run does, changes nothing.
func TestDiff(t *testing.T) {
	t.Parallel()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.workspace)
			before := snapshot(t, w.Dir)
			diff, err := add(t, w, c.service).Diff()
			if err != nil {
				t.Fatal(err)
			}
			same(t, w.Dir, before)
			golden(t, name+".diff", diff)
		})
	}
}

// git makes of the diff just what Apply does.
func TestDiffCanBeApplied(t *testing.T) {
	t.Parallel()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, other := open(t, c.workspace), open(t, c.workspace)
			added := add(t, w, c.service)
			diff, err := added.Diff()
			if err != nil {
				t.Fatal(err)
			}
			git := exec.Command("git", "apply", "-")
			git.Dir = other.Dir
			git.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(other.Dir))
			git.Stdin = strings.NewReader(diff)
			if out, err := git.CombinedOutput(); err != nil {
				t.Fatalf("git apply: %v\n%s\n%s", err, out, diff)
			}
			if err := added.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			same(t, w.Dir, snapshot(t, other.Dir))
		})
	}
}

// What was added and removed again leaves every byte as it was.
func TestRemoveGivesBackTheBytes(t *testing.T) {
	t.Parallel()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.workspace)
			before := snapshot(t, w.Dir)
			if err := add(t, w, c.service).Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			parsed, err := scenarios.ParseDir(os.DirFS(w.Dir), w.Scenarios)
			if err != nil || !slices.ContainsFunc(parsed, func(s *scenarios.Scenario) bool { return s.Name == c.service.Name }) {
				t.Errorf("its scenario: %v, %v", parsed, err)
			}
			if _, err := AddMicroservice(w, c.service); err == nil {
				t.Error("it can be added twice")
			}
			if c.service.Language == "" { // as its test and its environment leave
				for _, tool := range []string{"tests/__pycache__/x", ".venv/lib/x"} {
					write(t, w, "python/"+c.service.Name+"/"+tool, nil)
				}
				write(t, w, "python/"+c.service.Name+"/.venv/dynsandbox.json", []byte(`{"ours": true}`))
				if err := os.Symlink("lib", filepath.Join(w.Dir, "python", c.service.Name, ".venv", "lib64")); err != nil {
					t.Fatal(err)
				}
			}
			changes, err := RemoveMicroservice(w, c.service.Name, false)
			leads(t, w, changes, err, before)
		})
	}
}

// The platform reads keys whatever their case, so a service is found, and taken out, under those too.
func TestKeysOfAnyCase(t *testing.T) {
	t.Parallel()
	w := open(t, "compact.txtar")
	for file, keys := range map[string][]string{
		microservicesFile: {"allowedOutputs"}, requestTypesFile: {"requiredServices", "optionalServices"}, optionalFile: {"types"},
	} {
		content, err := os.ReadFile(filepath.Join(w.Dir, w.LaunchFiles, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			content = bytes.ReplaceAll(content, []byte(key), []byte(strings.ToUpper(key)))
		}
		write(t, w, w.LaunchFiles+"/"+file, content)
	}
	if _, err := AddMicroservice(w, Microservice{Name: "sql-graph"}); err == nil || !strings.Contains(err.Error(), `"sql-graph" is named here already`) {
		t.Errorf("a name that is taken: %v", err)
	}
	before := snapshot(t, w.Dir)
	for _, m := range []Microservice{{Name: "mask", After: []string{"sql-query"}}, {Name: "mask", After: []string{"sql-query"}, Option: "mask"}} {
		if err := add(t, w, m).Apply(w.Dir); err != nil {
			t.Fatal(err)
		}
		changes, err := RemoveMicroservice(w, "mask", false)
		leads(t, w, changes, err, before)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		service Microservice
		file    string // with another content
		content string
		says    string
	}{
		"name":          {Microservice{Name: "Double_Check"}, "", "", `"Double_Check" is no name for a service`},
		"suggestion":    {Microservice{Name: "Double_Check"}, "", "", `(for example "double-check")`},
		"too long":      {Microservice{Name: strings.Repeat("a", 64)}, "", "", "at most 63"},
		"a path":        {Microservice{Name: "../x"}, "", "", "no name for a service"},
		"taken":         {Microservice{Name: "sql-query"}, "", "", `configuration/etcd_launch_files/microservices.json:2:12: there is a service "sql-query" already`},
		"named":         {Microservice{Name: "sql-graph"}, "", "", `configuration/etcd_launch_files/microservices.json:15:13: "sql-graph" is named here already`},
		"folder":        {Microservice{Name: "leftover"}, "", "", "python/leftover is there already"},
		"agent":         {Microservice{Name: "agent"}, "", "", "go/cmd/agent is there already"},
		"scenario":      {Microservice{Name: "two-means"}, "", "", `scenarios/compute.yaml has a scenario "two-means" already`},
		"language":      {Microservice{Name: "x", Language: "pyton"}, "", "", `"pyton" is none of python, go (did you mean "python"?)`},
		"label":         {Microservice{Name: "x", Label: "dataprovider"}, "", "", `did you mean "dataProvider"?`},
		"after":         {Microservice{Name: "x", After: []string{"sql-qery"}}, "", "", `--after: no service "sql-qery" in microservices.json (did you mean "sql-query"?)`},
		"before":        {Microservice{Name: "x", Before: []string{"algorithm"}}, "", "", `--before: no service "algorithm" in microservices.json (did you mean "sql-algorithm"?)`},
		"request type":  {Microservice{Name: "x", RequestType: "sqlDataRequst"}, "", "", `did you mean "sqlDataRequest"?`},
		"nobody may":    {Microservice{Name: "x", RequestType: "secretRequest"}, "", "", `no agreement lets anybody send "secretRequest"`},
		"cycle":         {Microservice{Name: "x", After: []string{"sql-algorithm"}, Before: []string{"sql-query"}}, "", "", `microservices.json:20:24: cycle in allowedOutputs: sql-query -> sql-aggregate -> sql-algorithm -> x -> sql-query`},
		"broken file":   {Microservice{Name: "x"}, "requestType.json", "[\n  {\"name\": \"a\",}\n]\n", "configuration/etcd_launch_files/requestType.json:2:15: trailing comma (remove it)"},
		"no libraries":  {Microservice{Name: "x", Language: "go"}, "../../go/pkg", "", "go/pkg has no library"},
		"no such agent": {Microservice{Name: "x"}, "agreements.json", "[]\n", "no agreement lets anybody"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, "compact.txtar")
			switch {
			case c.file != "" && c.content == "":
				if err := os.RemoveAll(filepath.Join(w.Dir, w.LaunchFiles, c.file)); err != nil {
					t.Fatal(err)
				}
			case c.file != "":
				write(t, w, w.LaunchFiles+"/"+c.file, []byte(c.content))
			}
			_, err := AddMicroservice(w, c.service)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if choice := (*ChoiceError)(nil); fault.AsInvalids(err) == nil && !errors.As(err, &choice) {
				t.Errorf("%v is neither a fault of a file nor of what was asked for", err)
			}
		})
	}
}

// Work of the user's isn't removed unless asked for.
func TestRemoveKeepsWork(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"python/x/main.py", "python/x/work.py", "scenarios/x.yaml"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			w := open(t, "compact.txtar")
			clean := snapshot(t, w.Dir)
			if err := add(t, w, Microservice{Name: "x"}).Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			write(t, w, file, []byte("my own\n"))
			before := snapshot(t, w.Dir)
			_, err := RemoveMicroservice(w, "x", false)
			edited := (*EditedError)(nil)
			if !errors.As(err, &edited) || !slices.Equal(edited.Files, []string{file}) {
				t.Errorf("removing a service whose %s was edited: %v", file, err)
			}
			same(t, w.Dir, before)
			changes, err := RemoveMicroservice(w, "x", true)
			leads(t, w, changes, err, clean)
		})
	}
}

// A Python service asks for what another one does, so that its image shares the packages.
func TestRequirements(t *testing.T) {
	t.Parallel()
	w := open(t, "compact.txtar")
	write(t, w, "python/sql-query/requirements.txt", []byte("pandas>=2.2"))
	before := snapshot(t, w.Dir)
	if err := add(t, w, Microservice{Name: "x"}).Apply(w.Dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(w.Dir, "python/x/requirements.txt")); err != nil || string(got) != "pandas>=2.2" {
		t.Errorf("it asks for %q, %v", got, err)
	}
	changes, err := RemoveMicroservice(w, "x", false)
	leads(t, w, changes, err, before)
}

func TestRemoveRefused(t *testing.T) {
	t.Parallel()
	w := open(t, "compact.txtar")
	if _, err := RemoveMicroservice(w, "sql-algoritm", false); err == nil || !strings.Contains(err.Error(), `did you mean "sql-algorithm"?`) {
		t.Errorf("a service that isn't there: %v", err)
	}
	if _, err := RemoveMicroservice(w, "sql-query", false); !errors.As(err, new(*EditedError)) {
		t.Errorf("a service that was not made by this: %v", err)
	}
}

// The Go service compiles and its test passes, with the library of the reference platform.
func TestGoServiceOfTheReferencePlatform(t *testing.T) {
	t.Parallel()
	platform, err := filepath.Abs("../../platform")
	if err != nil {
		t.Fatal(err)
	}
	w := Workspace{Dir: platform, LaunchFiles: "configuration/etcd_launch_files", Scenarios: "scenarios"}
	added := add(t, w, Microservice{Name: "a-new-one", Language: "go", After: []string{"sql-query"}})
	overlay := `{"Replace": {`
	dir := t.TempDir()
	for i, c := range slices.DeleteFunc(slices.Clone(added.Changes), func(c Change) bool { return filepath.Ext(c.Path) != ".go" }) {
		file := filepath.Join(dir, filepath.Base(c.Path))
		if err := os.WriteFile(file, c.After, 0o644); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			overlay += ", "
		}
		overlay += quote(filepath.Join(platform, c.Path)) + ": " + quote(file)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), []byte(overlay+"}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	gofmt := exec.Command("gofmt", "-l", dir)
	if out, err := gofmt.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v\n%s", err, out)
	}
	test := filepath.Join(dir, "service.test")
	// Vet needs the folder, which isn't there.
	compile := exec.Command("go", "test", "-c", "-vet=off", "-o", test, "-overlay", filepath.Join(dir, "overlay.json"), "./cmd/a-new-one")
	compile.Dir = filepath.Join(platform, "go")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := exec.Command(test).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
