package watch

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand"
	"os"
	"path"
	"path/filepath"
	"testing"
	"time"
)

// TestReaderKeepsUp does random things to a tree, as fast as it can, while a reader notes the files that batches name.
// Once it is still, the reader brings its copy up to date by reading just those: the copy must become the tree.
func TestReaderKeepsUp(t *testing.T) {
	modes := map[string]Config{"events": {Quiet: 2 * time.Millisecond}, "polling": {Quiet: 2 * time.Millisecond, Poll: true}}
	for name, cfg := range modes {
		t.Run(name, func(t *testing.T) {
			w := newWorkspace(t, "go/a/a", "go/b/b/b", "go/c")
			tune := quick()
			tune.probeWait = patience
			have := w.tree()
			w.watch(cfg, tune)
			for round := range int64(30) {
				w.stir(rand.New(rand.NewSource(round)), 50)
				tree := w.tree()
				// The second mark is only seen by a look that began after all was still.
				for mark := range 2 {
					w.write("python/mark.py", fmt.Sprint(round, mark))
					files, _ := w.until("python/mark.py")
					for _, rel := range files {
						if text, ok := tree[rel]; ok {
							have[rel] = text
						} else {
							delete(have, rel)
						}
					}
				}
				if !maps.Equal(have, tree) {
					t.Fatalf("round %d: the reader has\n%v\nthe tree is\n%v\nlog: %s", round, have, tree, w.log())
				}
			}
		})
	}
}

// stir writes, removes and renames files and folders, some of which exist.
func (w *workspace) stir(rng *rand.Rand, times int) {
	anywhere := func() string {
		at := "go"
		for range 1 + rng.Intn(3) {
			at = path.Join(at, string(rune('a'+rng.Intn(4))))
		}
		return w.path(at)
	}
	for i := range times { // what fails, fails: there may be a folder where a file was meant, and the other way round
		switch at := anywhere(); rng.Intn(10) {
		case 0:
			_ = os.RemoveAll(at)
		case 1, 2, 3:
			_ = os.Rename(at, anywhere())
		case 4:
			_ = os.MkdirAll(at, 0o755)
		default:
			_ = os.MkdirAll(filepath.Dir(at), 0o755)
			_ = os.WriteFile(at, fmt.Append(nil, i), 0o644)
		}
	}
}

// tree returns the files below the folder go and what they hold.
func (w *workspace) tree() map[string]string {
	files := map[string]string{}
	_ = filepath.WalkDir(w.path("go"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(w.root, p)
			text, _ := os.ReadFile(p)
			files[filepath.ToSlash(rel)] = string(text)
		}
		return nil
	})
	return files
}
