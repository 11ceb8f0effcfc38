package sandbox

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// A workspace that was replaced while the session runs is no longer watched, which is told; the next bring-up watches what
// is there by then.
func TestReplacedWorkspace(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "workspace")
	create := func() {
		if err := os.MkdirAll(filepath.Join(dir, "go"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	create()
	s := &session{state: stateIn(t), base: t.Context(), events: newFeed(nil), log: slog.New(slog.DiscardHandler)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	s.holds.reloader = r
	if err := s.setWatch(true, dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+"-old"); err != nil {
		t.Fatal(err)
	}
	create()
	told := errors.New("told")
	err := s.events.follow(t.Context(), 0, func(e *control.Event) error {
		if e.Kind == control.Event_REFUSED && e.Service == "" {
			return told
		}
		return nil
	})
	if !errors.Is(err, told) || !errors.Is(r.problem(""), ErrStale) {
		t.Fatalf("%v; problem: %v", err, r.problem(""))
	}
	if err := s.setWatch(true, dir); err != nil {
		t.Fatal(err)
	}
	defer s.holds.unwatch()
	now, err := os.Stat(dir)
	if err != nil || !os.SameFile(now, s.holds.watched.root) {
		t.Errorf("what is watched isn't what is there: %v", err)
	}
}

// A file that was saved while an earlier change was brought in is waited for, though it lay there when that was looked at.
func TestWaitForWhatIsToCome(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(file string) {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(file), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	read := func() fileStates {
		states, err := readFileStates(dir)
		if err != nil {
			t.Fatal(err)
		}
		return states
	}
	write("go/gone.go")
	before := read()
	for _, f := range []string{"go/a.go", "go/b.go", "charts/c.yaml", "charts/d.yaml"} {
		write(f)
	}
	if err := os.Remove(filepath.Join(dir, "go", "gone.go")); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(other, "x.go"), nil, 0o644), os.Symlink(other, filepath.Join(dir, "go", "linked"))); err != nil {
		t.Fatal(err)
	}
	now := read() // with a file that the watcher doesn't tell of
	seen := before.with([]string{"go/a.go", "charts/c.yaml"}, now)
	if left := strings.Join(now.changed(dir, seen), " "); left != "charts/d.yaml go/b.go go/gone.go" {
		t.Errorf("to come: %s", left)
	}
	if left := now.changed(dir, seen.with([]string{"charts/d.yaml", "go/b.go", "go/gone.go"}, now)); len(left) > 0 {
		t.Errorf("still to come when all were brought in: %s", left)
	}
}

// What the watching misses as it was begun, the next bring-up has it watch: a workspace under another path, and a folder
// that has a service by now.
func TestWatchFollowsTheWorkspace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, moved := filepath.Join(dir, "first"), filepath.Join(dir, "moved")
	mkdir := func(path string) {
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(filepath.Join(first, "go"))
	s := &session{state: stateIn(t), base: t.Context(), events: newFeed(nil), log: slog.New(slog.DiscardHandler)}
	r := newReloader(&bringUp{session: s, workspace: &workspace{}})
	s.holds.reloader = r
	seen := func(workspace, file string) {
		t.Helper()
		if err := s.setWatch(true, workspace); err != nil {
			t.Fatal(err)
		}
		states, err := readFileStates(workspace) // as a bring-up does
		if err != nil {
			t.Fatal(err)
		}
		s.work.Lock()
		r.dir, r.seen = workspace, states
		s.work.Unlock()
		if err := os.WriteFile(filepath.Join(workspace, file), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		for {
			s.work.Lock()
			seen := r.seen
			s.work.Unlock()
			if now, err := readFileStates(workspace); err != nil {
				t.Fatal(err)
			} else if len(now.changed(workspace, seen)) == 0 {
				return
			}
			if sleep(t.Context(), 5*time.Millisecond) != nil {
				t.Fatalf("%s in %s isn't seen", file, workspace)
			}
		}
	}
	seen(first, "go/a")
	if err := os.Rename(first, moved); err != nil {
		t.Fatal(err)
	}
	seen(moved, "go/b")
	mkdir(filepath.Join(moved, "rust", "matcher"))
	if err := os.WriteFile(filepath.Join(moved, "rust", "matcher", "Dockerfile"), []byte("FROM scratch\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	seen(moved, "rust/matcher/main.rs")
	s.holds.unwatch()
}

// A wait fails for files that nothing brings in, and names them; what editors leave beside them doesn't count.
func TestWaitForWhatIsNotWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(file string) {
		path := filepath.Join(dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("python/a/main.py")
	s := &session{state: stateIn(t), base: t.Context(), events: newFeed(nil)}
	if err := s.settled(t.Context()); !errors.Is(err, ErrNotReady) {
		t.Errorf("before a bring-up: %v", err)
	}
	b := &bringUp{session: s, workspace: &workspace{}}
	b.record.Workspace = dir
	var err error
	if b.files, err = readFileStates(dir); err != nil {
		t.Fatal(err)
	}
	s.holds.reloader = newReloader(b)
	write("python/a/.main.py.swp")
	if err := s.settled(t.Context()); err != nil {
		t.Errorf("nothing has changed: %v", err)
	}
	for _, file := range []string{"python/a/new.py", "charts/agents/values.yaml"} {
		write(file)
		if err := s.settled(t.Context()); !errors.Is(err, ErrNotBroughtIn) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", file, err)
		}
	}
}
