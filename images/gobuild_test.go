package images

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

func goWorkspace(t *testing.T) (string, []Service) {
	t.Helper()
	return writeFiles(t, map[string]string{
		"go/go.mod":           "module example.test/w\n\ngo 1.21\n",
		"go/cmd/one/main.go":  "package main\n\nfunc main() { println(\"one\") }\n",
		"go/cmd/two/main.go":  "package main\n\nfunc main() { println(\"two\") }\n",
		"go/cmd/two/notes.md": "",
	}), []Service{{Name: "one", Dir: "go/cmd/one", Language: Go}, {Name: "two", Dir: "go/cmd/two", Language: Go}}
}

func digestsOf(t *testing.T, built []Built) map[string]v1.Hash {
	t.Helper()
	m := map[string]v1.Hash{}
	for _, b := range built {
		d, err := b.Image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		m[b.Service.Name] = d
	}
	return m
}

func TestGoImagesAreReproducible(t *testing.T) {
	t.Parallel()
	workspace, services := goWorkspace(t)
	compiler := &GoBuilder{Workspace: workspace, Cache: t.TempDir()}
	b := Builders{Go: compiler}
	first, err := b.All(t.Context(), services)
	if err != nil {
		t.Fatal(err)
	}
	before := digestsOf(t, first)
	if len(before) != 2 || before["one"] == before["two"] {
		t.Fatalf("got digests %v", before)
	}
	compiler.Cache = t.TempDir()
	again, err := b.All(t.Context(), services)
	if err != nil {
		t.Fatal(err)
	}
	if after := digestsOf(t, again); after["one"] != before["one"] || after["two"] != before["two"] {
		t.Errorf("digests of the same sources: %v, then %v", before, after)
	}
	main := filepath.Join(workspace, "go/cmd/one/main.go")
	if err := os.WriteFile(main, []byte("package main\n\nfunc main() { println(\"changed\") }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, err := b.All(t.Context(), services)
	if err != nil {
		t.Fatal(err)
	}
	if after := digestsOf(t, changed); after["one"] == before["one"] || after["two"] != before["two"] {
		t.Errorf("after a change of one: %v, before %v", after, before)
	}
	// An image that somebody still holds must not change with the next build.
	for _, b := range again {
		checkLayer(t, b)
	}
}

// checkLayer reads an image's layer, and checks its content against its digest and what a service needs.
func checkLayer(t *testing.T, b Built) {
	t.Helper()
	layers, err := b.Image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, error %v", len(layers), err)
	}
	r, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	h := newHasher()
	tr := tar.NewReader(io.TeeReader(r, h))
	modes := map[string]int64{}
	for {
		e, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		modes[e.Name] = e.Mode
		if e.ModTime.Unix() != 0 {
			t.Errorf("%s has a time", e.Name)
		}
	}
	if _, err := io.Copy(io.Discard, io.TeeReader(r, h)); err != nil {
		t.Fatal(err)
	}
	if d, err := layers[0].Digest(); err != nil || d != h.hash() {
		t.Errorf("layer of %s has digest %v (%v), its content %v", b.Service.Name, d, err, h.hash())
	}
	// Nothing of the machine that builds may be in it, such as its certificates.
	if diff := cmp.Diff(map[string]int64{"app/": 0o755, "tmp/": 0o1777, "app/" + b.Service.Name: 0o755}, modes); diff != "" {
		t.Errorf("modes in the layer: %s", diff)
	}
	cf, err := b.Image.ConfigFile()
	if err != nil || len(cf.Config.Cmd) != 1 || cf.Config.Cmd[0] != "/app/"+b.Service.Name {
		t.Errorf("command %v, error %v", cf.Config.Cmd, err)
	}
}

func TestCompilerErrorsComeBackWhole(t *testing.T) {
	t.Parallel()
	workspace, services := goWorkspace(t)
	body := strings.Repeat("\tundefined()\n", 9)
	if err := os.WriteFile(filepath.Join(workspace, "go/cmd/two/main.go"), []byte("package main\n\nfunc main() {\n"+body+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := GoBuilder{Workspace: workspace, Cache: t.TempDir()}
	_, err := b.Build(t.Context(), services...)
	var failed *fault.Exec
	if !errors.As(err, &failed) {
		t.Fatalf("got error %v", err)
	}
	for _, line := range []string{"go/cmd/two/main.go:4:2: undefined: undefined", "go/cmd/two/main.go:12:2: undefined: undefined"} {
		if !strings.Contains(failed.Tail, line) {
			t.Errorf("%q is not in\n%s", line, failed.Tail)
		}
	}
}

// A debugger needs the tables that are left out otherwise, and functions that are called.
func TestGoBuildsForADebugger(t *testing.T) {
	t.Parallel()
	workspace, services := goWorkspace(t)
	cache := t.TempDir()
	var before v1.Hash
	for _, debug := range []bool{false, true} {
		b := GoBuilder{Workspace: workspace, Cache: cache, Debug: debug}
		built, err := b.Build(t.Context(), services[0])
		if err != nil {
			t.Fatal(err)
		}
		out, err := b.outDir()
		if err != nil {
			t.Fatal(err)
		}
		binary, err := elf.Open(filepath.Join(out, "one"))
		if err != nil {
			t.Fatal(err)
		}
		defer binary.Close()
		if _, err := binary.DWARF(); (err == nil) != debug {
			t.Errorf("debug %t: reading the tables for a debugger: %v", debug, err)
		}
		if after := digestsOf(t, built)["one"]; after == before {
			t.Error("the image for a debugger is the other one")
		} else {
			before = after
		}
	}
}

func TestAMistakeInOneGoServiceDoesNotHoldBackOthers(t *testing.T) {
	t.Parallel()
	workspace, services := goWorkspace(t)
	writeFile(t, filepath.Join(workspace, "go/cmd/three/main.go"), "package main\n\nimport \"example.test/w/pkg\"\n\nfunc main() { pkg.Say() }\n")
	writeFile(t, filepath.Join(workspace, "go/cmd/four/main.go"), "package main\n\nimport \"example.test/w/pkg\"\n\nfunc main() { pkg.Say() }\n")
	writeFile(t, filepath.Join(workspace, "go/pkg/pkg.go"), "package pkg\n\nfunc Say() { missing() }\n")
	services = append(services, Service{Name: "three", Dir: "go/cmd/three", Language: Go}, Service{Name: "four", Dir: "go/cmd/four", Language: Go})
	for name, mistake := range map[string]string{
		"a name that isn't declared": "package main\n\nfunc main() { unknown() }\n",
		// The go command gives up before it compiles anything.
		"an import that isn't there": "package main\n\nimport _ \"example.test/w/nothing\"\n\nfunc main() {}\n",
	} {
		writeFile(t, filepath.Join(workspace, "go/cmd/two/main.go"), mistake)
		b := Builders{Go: &GoBuilder{Workspace: workspace, Cache: t.TempDir()}}
		built, err := b.All(t.Context(), services)
		if len(built) != 1 || built[0].Service.Name != "one" {
			t.Errorf("%s: built %v, want the service without a mistake", name, built)
		} else {
			checkLayer(t, built[0])
		}
		failed := ErrorsByService(err)
		if len(failed) != 3 {
			t.Fatalf("%s: got errors of %d services: %v", name, len(failed), err)
		}
		for service, line := range map[string]string{"two": "go/cmd/two/main.go:3:", "three": "go/pkg/pkg.go:3:14: undefined: missing", "four": "go/pkg/pkg.go:3:14: undefined: missing"} {
			var run *fault.Exec
			if !errors.As(failed[service], &run) || !strings.Contains(run.Tail, line) {
				t.Errorf("%s: error of %s is %v, want one with %q", name, service, failed[service], line)
			}
		}
		// One mistake that several services share is told once.
		if n := strings.Count(err.Error(), "undefined: missing"); n != 1 || strings.Contains(failed["two"].Error(), "missing()") {
			t.Errorf("%s: the mistake in the shared package is told %d times in: %v", name, n, err)
		}
	}
}

// Two sandboxes may build one workspace at the same time: the one must not read a binary that the other is linking.
func TestGoBuildsOfOneWorkspaceWaitForEachOther(t *testing.T) {
	t.Parallel()
	workspace, services := goWorkspace(t)
	b := GoBuilder{Workspace: workspace, Cache: t.TempDir()}
	out, err := b.outDir()
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFile(t.Context(), out+".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := b.Build(ctx, services...); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "wait for another build") {
		t.Errorf("while another one builds: got error %v", err)
	}
	unlock()
	if _, err := b.Build(t.Context(), services...); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestOldBinariesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{"a": "", "b": "", "c": "", "d": ""})
	if err := keepNewest(filepath.Join(dir, "*"), 2); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%d files are left", len(left))
	}
}

// An earlier build's binary must not be taken for that of what is no command any more.
func TestGoServiceThatIsNoCommandAnyMore(t *testing.T) {
	t.Parallel()
	workspace, services := goWorkspace(t)
	b := Builders{Go: &GoBuilder{Workspace: workspace, Cache: t.TempDir()}}
	if _, err := b.All(t.Context(), services); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(workspace, "go/cmd/two/main.go"), "package two\n")
	built, err := b.All(t.Context(), services)
	if len(built) != 1 || built[0].Service.Name != "one" {
		t.Errorf("built %v", built)
	}
	if err := ErrorsByService(err)["two"]; err == nil || !strings.Contains(err.Error(), "go/cmd/two is package two, not main") {
		t.Errorf("got error %v", err)
	}
}
