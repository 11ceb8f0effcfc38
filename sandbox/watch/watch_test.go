package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestChangesOfFiles(t *testing.T) {
	w := newWorkspace(t, "go/cmd/agent/main.go", "python/query/main.py", "README.md", "docs/index.md")
	w.watch(Config{}, defaultTuning)
	tests := []struct {
		name string
		do   func()
		want []string
	}{
		{"written", func() { w.write("go/cmd/agent/main.go", "new") }, []string{"go/cmd/agent/main.go"}},
		{"created", func() { w.write("python/query/more.py", "new") }, []string{"python/query/more.py"}},
		{"renamed", func() { w.rename("python/query/more.py", "python/query/less.py") }, []string{"python/query/less.py", "python/query/more.py"}},
		{"removed", func() { w.remove("python/query/less.py") }, []string{"python/query/less.py"}},
		{"made executable", func() { w.check(os.Chmod(w.path("python/query/main.py"), 0o755)) }, []string{"python/query/main.py"}},
		{"created and removed at once", func() { w.write("go/gone.go", ""); w.remove("go/gone.go") }, nil},
		{"a link", func() { w.check(os.Symlink("main.go", w.path("go/cmd/agent/link.go"))) }, []string{"go/cmd/agent/link.go"}},
		{"outside the folders", func() { w.write("README.md", "new"); w.write("docs/index.md", "new"); w.write("docs/go/x", "") }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { w.t = t; w.exactly(tt.do, tt.want...) })
	}
}

func TestFolders(t *testing.T) {
	w := newWorkspace(t, "go/a/deep/x.go", "elsewhere/new/sub/y.go")
	w.watch(Config{Folders: []string{"go", "configuration/launch", "Makefile"}}, defaultTuning)
	tests := []struct {
		name string
		do   func()
		want []string
	}{
		{"moved in with files in it", func() { w.rename("elsewhere/new", "go/new") }, []string{"go/new/sub/y.go"}},
		{"made with files in it", func() { w.write("go/made/by/hand/z.go", "") }, []string{"go/made/by/hand/z.go"}},
		{"is watched from then on", func() { w.write("go/made/by/hand/z.go", "z") }, []string{"go/made/by/hand/z.go"}},
		{"renamed", func() { w.rename("go/a", "go/b") }, []string{"go/a/deep/x.go", "go/b/deep/x.go"}},
		{"goes by its new name", func() { w.write("go/b/deep/x.go", "new") }, []string{"go/b/deep/x.go"}},
		{"its old name taken by another", func() { w.write("go/a/deep/x.go", "another") }, []string{"go/a/deep/x.go"}},
		{"both are told apart", func() { w.write("go/b/deep/x.go", "newer") }, []string{"go/b/deep/x.go"}},
		{"removed", func() { w.remove("go/b") }, []string{"go/b/deep/x.go"}},
		{"a listed one appears", func() { w.write("configuration/launch/agents.json", "{}") }, []string{"configuration/launch/agents.json"}},
		{"beside a listed one", func() { w.write("configuration/other.json", "{}"); w.write("configuration/else/x", "") }, nil},
		{"above a listed one, moved away", func() { w.rename("configuration", "old") }, []string{"configuration/launch/agents.json"}},
		{"and no longer watched", func() { w.write("old/launch/agents.json", "[]") }, nil},
		{"and brought back", func() { w.rename("old", "configuration") }, []string{"configuration/launch/agents.json"}},
		{"a listed file", func() { w.write("Makefile", "all:") }, []string{"Makefile"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { w.t = t; w.exactly(tt.do, tt.want...) })
	}
}

func TestListedFolderRemovedAndRecreated(t *testing.T) {
	w := newWorkspace(t, "go/a/x.go", "python/y.py")
	w.watch(Config{}, defaultTuning)
	w.remove("go")
	w.until("go/a/x.go")
	w.write("go/a/x.go", "again")
	w.until("go/a/x.go")
	w.write("go/a/x.go", "and again")
	w.until("go/a/x.go")
}

func TestListedFolderIsALink(t *testing.T) {
	w := newWorkspace(t, "elsewhere/a/x.go")
	w.check(os.Symlink(w.path("elsewhere"), w.path("go")))
	w.watch(Config{Folders: []string{"go"}}, defaultTuning)
	w.exactly(func() { w.write("elsewhere/a/x.go", "new") }, "go/a/x.go")
}

func TestBatchIsCompleteWhenQuietAndAtTheLatestAtTheCap(t *testing.T) {
	w := newWorkspace(t, "go/x.go")
	// Quiet is longer than the test may take: only the cap can end the batch.
	w.watch(Config{Quiet: time.Hour, Cap: 200 * time.Millisecond}, defaultTuning)
	began := time.Now()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = os.WriteFile(w.path("go/x.go"), []byte(fmt.Sprint(i)), 0o644)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	_, batches := w.until("go/x.go")
	if b := batches[0]; time.Since(b.First) < 200*time.Millisecond || b.First.Before(began) {
		t.Errorf("the first change was seen %s after the writing began, the batch given %s after that", b.First.Sub(began), time.Since(b.First))
	}
}

func TestSlowReaderLosesNothing(t *testing.T) {
	w := newWorkspace(t, "go/x.go")
	w.watch(Config{Quiet: time.Millisecond}, defaultTuning)
	var want []string
	for i := range 200 { // each is a batch of its own, or nearly so
		name := fmt.Sprintf("go/f%03d.go", i)
		want = append(want, name)
		w.write(name, "")
	}
	files, batches := w.until(want...)
	if !slices.Equal(files, want) || len(batches) > 3 {
		t.Errorf("%d files in %d batches", len(files), len(batches))
	}
}

func TestBurst(t *testing.T) {
	w := newWorkspace(t, "go/x.go")
	w.watch(Config{}, defaultTuning)
	began := time.Now()
	var want []string
	for i := range 3000 {
		name := fmt.Sprintf("go/pkg%d/sub/f%d.go", i%50, i)
		want = append(want, name)
		w.write(name, "package sub")
	}
	_, batches := w.until(want...)
	if most := 2 + int(time.Since(began)/defaultCap); len(batches) > most {
		t.Errorf("%d batches, want at most %d", len(batches), most)
	}
	w.remove("go")
	w.until(want...)
}

func TestRefusals(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"relative root", Config{Root: "ws"}, "absolute"},
		{"no root", Config{Root: filepath.Join(root, "none")}, "no such file"},
		{"root is a file", Config{Root: file}, "not a directory"},
		{"folder outside", Config{Root: root, Folders: []string{"../x"}}, `"../x" is not below the root`},
		{"absolute folder", Config{Root: root, Folders: []string{root}}, "is not below the root"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Watch(context.Background(), tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := Watch(context.Background(), Config{Root: filepath.Join(root, "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost in %v", err)
	}
}
