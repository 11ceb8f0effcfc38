package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "main.go")
	const original = "package main // old, old\n"
	if err := os.WriteFile(path, []byte(original), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := openSource(path, "old")
	if err != nil {
		t.Fatal(err)
	}
	// Each marker goes in the same place, whatever was there before.
	for _, marker := range []string{"one", "two"} {
		if err := s.save(marker); err != nil {
			t.Fatal(err)
		}
		if got, want := read(t, path), "package main // "+marker+", old\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := s.restore(); err != nil {
		t.Fatal(err)
	}
	if got := read(t, path); got != original {
		t.Errorf("restored: %q", got)
	}
	if _, err := openSource(path, "new"); err == nil {
		t.Error("a text that isn't there was found")
	}
}

// The workspace of the growth rows is one that a sandbox takes, and at least ten times as large.
func TestGrowWorkspace(t *testing.T) {
	before, after, err := growWorkspace(filepath.Join("..", "..", "platform"), filepath.Join(t.TempDir(), "grown"))
	if err != nil {
		t.Fatal(err)
	}
	if before.services == 0 || before.keys == 0 || before.files == 0 {
		t.Fatalf("the workspace has %+v", before)
	}
	if after.services != 10*before.services || after.keys < 10*before.keys || after.files < 10*before.files {
		t.Errorf("%+v grew to %+v", before, after)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
