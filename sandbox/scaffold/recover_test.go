package scaffold

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gofrs/flock"
)

// halfDone is a workspace in which a process was killed after some of the changes, and what it was before.
func halfDone(t *testing.T, done int) (w Workspace, before map[string]string, stage string) {
	t.Helper()
	changes := Changes{
		{Path: "a/b/created", After: []byte("new\n")},
		{Path: "changed", Before: []byte("before\n"), After: []byte("after\n")},
		{Path: "dir/removed", Before: []byte("before\n")},
	}
	w = Workspace{Dir: t.TempDir()}
	write(t, w, "changed", []byte("before\n"))
	write(t, w, "dir/removed", []byte("before\n"))
	before = snapshot(t, w.Dir)
	stage, err := os.MkdirTemp(w.Dir, stagePrefix)
	if err != nil {
		t.Fatal(err)
	}
	write(t, Workspace{Dir: stage}, lockName, nil)
	tr := transaction{root: w.Dir, stage: stage}
	for i, c := range changes {
		if err := tr.prepare(i, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.begin(changes); err != nil {
		t.Fatal(err)
	}
	for i, c := range changes[:done] {
		if err := tr.make(i, c); err != nil {
			t.Fatal(err)
		}
	}
	return w, before, stage
}

// Whichever step a process was killed after, what it did is taken back.
func TestRecover(t *testing.T) {
	t.Parallel()
	for done, want := range [][]string{nil, {"a/b/created"}, {"changed", "a/b/created"}, {"dir/removed", "changed", "a/b/created"}} {
		w, before, _ := halfDone(t, done)
		if pending := (*PendingError)(nil); !errors.As(Pending(w.Dir), &pending) {
			t.Errorf("after %d steps nothing is pending", done)
		}
		files, err := Recover(w.Dir)
		if err != nil || !slices.Equal(files, want) {
			t.Errorf("after %d steps: %v, %v", done, files, err)
		}
		same(t, w.Dir, before)
		if err := Pending(w.Dir); err != nil {
			t.Error(err)
		}
	}
}

// A folder that was made for a file which didn't come goes too.
func TestRecoverFolders(t *testing.T) {
	t.Parallel()
	w, before, _ := halfDone(t, 0)
	if err := os.MkdirAll(filepath.Join(w.Dir, "a", "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Recover(w.Dir); err != nil {
		t.Error(err)
	}
	same(t, w.Dir, before)
}

// Changes that were all made stay, and only what was left of the making goes, and folders that are empty now.
func TestRecoverAfterTheEnd(t *testing.T) {
	t.Parallel()
	w, _, stage := halfDone(t, 3)
	if err := (&transaction{root: w.Dir, stage: stage}).end(); err != nil {
		t.Fatal(err)
	}
	if err := Pending(w.Dir); err != nil {
		t.Error(err)
	}
	if files, err := Recover(w.Dir); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
	if exists(stage) || exists(filepath.Join(w.Dir, "dir")) || !exists(filepath.Join(w.Dir, "a", "b", "created")) {
		t.Errorf("the workspace is %v", snapshot(t, w.Dir))
	}
}

// What a person did after the process was killed isn't lost.
func TestRecoverKeepsWork(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"a/b/created", "changed", "dir/removed"} {
		w, _, stage := halfDone(t, 3)
		write(t, w, file, []byte("my own\n"))
		_, err := Recover(w.Dir)
		if err == nil || !strings.Contains(err.Error(), file+", which were worked on since") || !strings.Contains(err.Error(), stage) {
			t.Errorf("%s: %v", file, err)
		}
		if now, err := os.ReadFile(filepath.Join(w.Dir, file)); err != nil || string(now) != "my own\n" {
			t.Errorf("%s is %q, %v", file, now, err)
		}
		if !exists(stage) {
			t.Errorf("%s: what was there before is gone", file)
		}
	}
}

// What a living process is at is its own.
func TestRecoverLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	w, _, stage := halfDone(t, 2)
	now := snapshot(t, filepath.Join(w.Dir, "a"))
	lock := flock.New(filepath.Join(stage, lockName))
	if err := lock.Lock(); err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if files, err := Recover(w.Dir); err != nil || len(files) > 0 {
		t.Errorf("%v, %v", files, err)
	}
	if err := Pending(w.Dir); err != nil {
		t.Error(err)
	}
	same(t, filepath.Join(w.Dir, "a"), now)
}

// A stage in which nothing had begun is no reason to write to the workspace.
func TestPendingChangesNothing(t *testing.T) {
	t.Parallel()
	w := Workspace{Dir: t.TempDir()}
	write(t, w, stagePrefix+"1/0", []byte("new\n"))
	before := snapshot(t, w.Dir)
	if err := Pending(w.Dir); err != nil {
		t.Error(err)
	}
	same(t, w.Dir, before)
	if _, err := Recover(w.Dir); err != nil || exists(filepath.Join(w.Dir, stagePrefix+"1")) {
		t.Errorf("the stage is still there: %v", err)
	}
}
