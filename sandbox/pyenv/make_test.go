package pyenv

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// fakePython stands in for an interpreter: it makes environments that have itself in them, and installs a library.
const fakePython = `#!/bin/sh
echo "$*" >>LOG
here=$(cd "$(dirname "$0")/.." && pwd)
last= dir=
for a in "$@"; do
  case $last in --wheel-dir) dir=$a;; esac
  last=$a
done
case "$*" in
*version_info*) echo 3.11.7 ;;
*purelib*) echo "$here/lib" ;;
"-m venv "*)
  [ ! -e NOVENV ] || { echo "The virtual environment was not created: ensurepip is not available."; exit 1; }
  mkdir -p "$last/bin" "$last/lib"; cp "$0" "$last/bin/python" ;;
*" wheel "*) mkdir -p "$dir"; : >"$dir/lib-1.0-py3-none-any.whl" ;;
*" install "*)
  [ ! -e FAILS ] || { echo "ERROR: no matching distribution"; exit 1; }
  echo "Collecting pandas>=2.2"
  mkdir -p "$here/lib/lib/__pycache__" "$here/lib/lib-1.0.dist-info"
  : >"$here/lib/lib/__init__.py"; : >"$here/lib/lib/__pycache__/x.pyc"; : >"$here/bin/tool"
  printf '%s,,\n' lib/__init__.py lib/__pycache__/x.pyc ../bin/tool lib-1.0.dist-info/RECORD >"$here/lib/lib-1.0.dist-info/RECORD" ;;
*protoc*) ;;
*) exit 2 ;;
esac
`

// python writes the stand-in, and returns it and a function that tells, and forgets, how it was called.
func python(t *testing.T) (interpreter string, calls func() []string) {
	t.Helper()
	dir := t.TempDir()
	interpreter = filepath.Join(dir, "bin", "python3")
	log := filepath.Join(dir, "log")
	script := strings.NewReplacer("LOG", log, "NOVENV", filepath.Join(dir, "novenv"), "FAILS", filepath.Join(dir, "fails")).Replace(fakePython)
	writeExecutable(t, interpreter, script)
	return interpreter, func() []string {
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(log, 0); err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

// writeExecutable has a process of its own write the file: one that this process has open for writing can't be run as long as a
// child that it forks meanwhile has it open too.
func writeExecutable(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", `cat >"$0" && chmod 755 "$0"`, path)
	cmd.Stdin = strings.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// plan plans, and fails the test where that fails.
func plan(t *testing.T, workspace, service, interpreter string, want State) *Environment {
	t.Helper()
	e, err := Plan(context.Background(), workspace, service, interpreter)
	if err != nil {
		t.Fatal(err)
	}
	if e.State != want {
		t.Errorf("it is %s, want %s", e.State, want)
	}
	return e
}

func makeIt(t *testing.T, e *Environment) {
	t.Helper()
	if err := e.Make(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestMake(t *testing.T) {
	t.Parallel()
	interpreter, calls := python(t)
	w := workspaceOf(t, map[string]string{
		"python/svc/requirements.txt": "pandas\n", "python/other/main.py": "", "python/other/requirements.txt": "x\n",
		"python/requirements-dev.txt": "pytest\n", "python/lib/protofiles/a_pb2.py": "", "python/lib/build/old.py": "", "python/Dockerfile": "FROM  docker.io/python:3.12-slim\n",
	})
	before := plan(t, w, "svc", interpreter, Missing)
	if exists(before.Dir) {
		t.Error("planning made the folder")
	}
	if before.ImagePython != "3.12" || before.Python != "3.11.7" {
		t.Errorf("versions: %s, %s", before.Python, before.ImagePython)
	}
	if want := []string{"python/svc/requirements.txt", "python/requirements-dev.txt"}; !slices.Equal(before.Requirements, want) {
		t.Errorf("requirements: %v", before.Requirements)
	}
	calls()
	var mu sync.Mutex
	var said []string
	ctx := progress.With(context.Background(), func(u progress.Update) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, u.What)
	})
	if err := before.Make(ctx); err != nil {
		t.Fatal(err)
	}
	if mu.Lock(); !slices.Contains(said, "collecting pandas") {
		t.Errorf("it said %v", said)
	}
	mu.Unlock()
	install := calls()[2]
	for _, part := range []string{"lib-1.0-py3-none-any.whl", "-r " + w + "/python/svc/requirements.txt", "-r " + w + "/python/requirements-dev.txt"} {
		if !strings.Contains(install, part) {
			t.Errorf("pip was called without %s: %s", part, install)
		}
	}
	packages := filepath.Join(before.Dir, "lib")
	paths, err := os.ReadFile(filepath.Join(packages, "dynsandbox.pth"))
	if want := w + "/python/lib\n" + w + "/python/lib/protofiles\n"; err != nil || string(paths) != want {
		t.Errorf("paths: %q, %v", paths, err)
	}
	if exists(filepath.Join(packages, "lib")) || !exists(filepath.Join(packages, "lib-1.0.dist-info", "RECORD")) || !exists(before.bin("tool")) {
		t.Error("the library's own modules stayed, or more than they went")
	}
	if ignore, err := os.ReadFile(filepath.Join(before.Dir, ".gitignore")); err != nil || string(ignore) != "*\n" {
		t.Errorf("git sees it: %q, %v", ignore, err)
	}

	again := plan(t, w, "svc", interpreter, Current)
	calls()
	makeIt(t, again)
	if got := calls(); !slices.Equal(got, []string{""}) {
		t.Errorf("nothing was to be done, and it did %v", got)
	}

	// A requirement that changed makes it anew: nothing of before stays.
	left := filepath.Join(packages, "left")
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w, "python/svc/requirements.txt"), []byte("numpy\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	makeIt(t, plan(t, w, "svc", interpreter, Stale))
	if exists(left) {
		t.Error("what was there before stayed")
	}
	plan(t, w, "svc", interpreter, Current)
	plan(t, w, "", interpreter, Missing) // another one, of all
}

// One that broke off is begun anew; one that a person made is only added to.
func TestMakeAgain(t *testing.T) {
	t.Parallel()
	interpreter, _ := python(t)
	w := workspaceOf(t, map[string]string{"python/svc/requirements.txt": "pandas\n"})
	fails := filepath.Join(filepath.Dir(filepath.Dir(interpreter)), "fails")
	if err := os.WriteFile(fails, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	e := plan(t, w, "svc", interpreter, Missing)
	if err := e.Make(context.Background()); err == nil || !strings.Contains(err.Error(), "no matching distribution") {
		t.Errorf("an installation that fails: %v", err)
	}
	if err := os.Remove(fails); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(e.Dir, "lib", "half")
	if err := os.WriteFile(half, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	makeIt(t, plan(t, w, "svc", interpreter, Stale))
	if exists(half) {
		t.Error("half of an environment stayed")
	}

	own := plan(t, w, "", interpreter, Missing)
	if err := os.MkdirAll(filepath.Join(own.Dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := plan(t, w, "", interpreter, Stale).Make(context.Background()); err == nil || !strings.Contains(err.Error(), "is no virtual environment") {
		t.Errorf("a folder that is none: %v", err)
	}
	script, err := os.ReadFile(interpreter)
	if err != nil {
		t.Fatal(err)
	}
	writeExecutable(t, own.bin("python"), string(script))
	for _, name := range []string{"mine", "lib/x"} {
		writeExecutable(t, filepath.Join(own.Dir, name), "")
	}
	for _, requirements := range []string{"a\n", "b\n"} {
		ask(t, w, requirements)
		makeIt(t, plan(t, w, "", interpreter, Stale))
		plan(t, w, "", interpreter, Current)
		if !exists(filepath.Join(own.Dir, "mine")) {
			t.Error("a person's own file is gone")
		}
	}
	if Ours(own.Dir) || !Ours(e.Dir) {
		t.Error("a person's is taken for one of ours, or the other way round")
	}

	// After half of something else it isn't what it was, whatever is asked for then.
	ask(t, w, "c\n")
	if err := os.WriteFile(fails, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := plan(t, w, "", interpreter, Stale).Make(context.Background()); err == nil {
		t.Error("it didn't fail")
	}
	ask(t, w, "b\n")
	plan(t, w, "", interpreter, Stale)
}

// ask writes what the service requires.
func ask(t *testing.T, workspace, requirements string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(workspace, "python/svc/requirements.txt"), []byte(requirements), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is included, packages that are installed of a folder, and what the library's package file reads, counts; its modules, and those of
// what is used from where it lies, don't.
func TestStale(t *testing.T) {
	t.Parallel()
	interpreter, _ := python(t)
	files := map[string]string{
		"python/svc/requirements.txt": "-r ../base.txt\n-c../limits.txt\n./copied[extra] ; python_version > '3'\n", "python/base.txt": "--requirement=more.txt", "python/more.txt": "a\n./wheels/x.whl\n-e ./shared/linked", "python/limits.txt": "a<2",
		"python/lib/setup.py": "setup(version=open('../VERSION').read(), install_requires=read(join('lib', \"needs.txt\")))", "python/VERSION": "1",
		"python/svc/copied/setup.py": "", "python/svc/copied/pkg/a.py": "", "python/svc/copied/build/a.py": "", "shared/linked/setup.py": "", "shared/linked/b.py": "", "wheels/x.whl": "",
		"python/lib/lib/needs.txt": "-r also.txt", "python/lib/lib/also.txt": "b", "python/lib/lib/other.py": "", "python/lib/notes.txt": "",
	}
	w := workspaceOf(t, files)
	makeIt(t, plan(t, w, "svc", interpreter, Missing))
	for file, content := range files {
		want := Stale
		if strings.HasSuffix(file, "other.py") || strings.HasSuffix(file, "build/a.py") || strings.HasSuffix(file, "b.py") || strings.HasSuffix(file, "notes.txt") {
			want = Current
		}
		for _, change := range []struct {
			content string
			state   State
		}{{content + "\n#", want}, {content, Current}} {
			if err := os.WriteFile(filepath.Join(w, file), []byte(change.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if e := plan(t, w, "svc", interpreter, change.state); e.State != change.state {
				t.Errorf("%s has changed", file)
			}
		}
	}
}

// Where there are no generated modules they are made, inside the environment.
func TestMakeGenerates(t *testing.T) {
	t.Parallel()
	interpreter, calls := python(t)
	w := workspaceOf(t, map[string]string{"proto-files/a.proto": "", "proto-files/b.proto": ""})
	e := plan(t, w, "svc", interpreter, Missing)
	makeIt(t, e)
	last := calls()
	if install := last[len(last)-3]; !strings.HasSuffix(install, ".whl grpcio-tools") || !strings.Contains(install, " pytest ") {
		t.Errorf("pip was called so: %s", install)
	}
	if generate := last[len(last)-2]; !strings.HasSuffix(generate, "/proto-files/a.proto "+w+"/proto-files/b.proto") {
		t.Errorf("the generator was called so: %s", generate)
	}
	paths, err := os.ReadFile(filepath.Join(e.Dir, "lib", "dynsandbox.pth"))
	if err != nil || !strings.HasSuffix(string(paths), "/.venv/protofiles\n") {
		t.Errorf("paths: %q, %v", paths, err)
	}
}

func TestPlanRefuses(t *testing.T) {
	t.Parallel()
	interpreter, _ := python(t)
	w := workspaceOf(t, nil)
	service := (*ServiceError)(nil)
	if _, err := Plan(context.Background(), w, "svcc", interpreter); !errors.As(err, &service) || !strings.Contains(err.Error(), `did you mean "svc"?`) {
		t.Errorf("a service that isn't there: %v", err)
	}
	if _, err := Plan(context.Background(), w, "svc", interpreter+"9"); err == nil {
		t.Error("an interpreter that isn't there is taken")
	}
	if err := os.WriteFile(filepath.Join(filepath.Dir(filepath.Dir(interpreter)), "novenv"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := plan(t, w, "svc", interpreter, Missing).Make(context.Background()); !errors.Is(err, ErrNoVenv) {
		t.Errorf("a Python without venv: %v", err)
	}
}
