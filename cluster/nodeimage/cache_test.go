package nodeimage

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// fakePart writes a file, and counts how often it is made. What it returns comes from fail.
func fakePart(name, input string, made *int, fail func() error) part {
	return part{name: name, inputs: []string{input}, make: func(_ context.Context, _ *Builder, dir string) error {
		*made++
		if err := os.WriteFile(filepath.Join(dir, "program"), []byte(input), 0o755); err != nil {
			return err
		}
		return fail()
	}}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		found = append(found, e.Name())
	}
	return found
}

func open(t *testing.T, dir string) cache {
	t.Helper()
	c, err := openCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A part that failed leaves nothing; a finished one is never made again, until its inputs change.
func TestEnsure(t *testing.T) {
	t.Parallel()
	dir, made, broken := t.TempDir(), 0, errors.New("broken")
	var result error
	fail := func() error { return result }
	p := fakePart("a", "1", &made, fail)
	c := open(t, dir)

	result = broken
	if err := c.ensure(t.Context(), new(Builder), p); !errors.Is(err, broken) {
		t.Fatalf("ensure = %v, want the part's error", err)
	}
	if left := names(t, dir); len(left) != 0 || c.has(p) {
		t.Fatalf("a failed part left %v", left)
	}
	result = nil
	for range 2 {
		if err := c.ensure(t.Context(), new(Builder), p); err != nil {
			t.Fatal(err)
		}
	}
	if made != 2 {
		t.Errorf("made %d times, want 2: one that failed, one that didn't", made)
	}
	if text, err := os.ReadFile(filepath.Join(c.path(p), "program")); err != nil || string(text) != "1" {
		t.Errorf("the part holds %q, %v", text, err)
	}
	changed := fakePart("a", "2", &made, fail)
	if got := c.missing([]part{p, changed}); len(got) != 1 || got[0].key() != changed.key() {
		t.Errorf("missing = %v, want the changed part alone", got)
	}
}

// A part whose making went on after the build was cancelled doesn't count as finished.
func TestEnsureCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	dir, made := t.TempDir(), 0
	p := fakePart("a", "1", &made, func() error { cancel(); return nil })
	if err := open(t, dir).ensure(ctx, new(Builder), p); !errors.Is(err, context.Canceled) {
		t.Errorf("ensure = %v, want %v", err, context.Canceled)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// What a killed build left goes away, together with a tool that still writes into it; finished parts stay.
func TestOpenCacheAfterKill(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("images are built on Linux only")
	}
	dir, made := t.TempDir(), 0
	finished := fakePart("done", "1", &made, func() error { return nil })
	c := open(t, dir)
	if err := c.ensure(t.Context(), new(Builder), finished); err != nil {
		t.Fatal(err)
	}
	left, _, err := c.scratch("rootfs")
	if err != nil {
		t.Fatal(err)
	}
	tool := exec.Command("sleep", "600")
	tool.Dir = left
	if err := tool.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- tool.Wait() }()

	c = open(t, dir)
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the tool ended by itself")
		}
	case <-time.After(10 * time.Second):
		if err := tool.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-ended
		t.Error("the tool of the killed build still ran")
	}
	if got := names(t, dir); len(got) != 1 || !c.has(finished) {
		t.Errorf("the cache holds %v, want the finished part alone", got)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	dir, made := t.TempDir(), 0
	ok := func() error { return nil }
	old, now := fakePart("a", "1", &made, ok), fakePart("a", "2", &made, ok)
	c := open(t, dir)
	for _, p := range []part{old, now} {
		if err := c.ensure(t.Context(), new(Builder), p); err != nil {
			t.Fatal(err)
		}
	}
	for _, other := range []string{"lock", "b-of-someone"} {
		if err := os.Mkdir(filepath.Join(dir, other), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.prune([]part{now}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); len(got) != 3 || !c.has(now) || c.has(old) {
		t.Errorf("after prune: %v", got)
	}
}
