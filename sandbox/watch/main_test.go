package watch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. It is never waited out when all is well.
const patience = 20 * time.Second

// workspace is a folder that is being watched.
type workspace struct {
	t       *testing.T
	root    string
	batches <-chan Batch

	mu   sync.Mutex
	said []string
}

// newWorkspace makes a workspace of the files, each holding its own name.
func newWorkspace(t *testing.T, files ...string) *workspace {
	t.Helper()
	w := &workspace{t: t, root: filepath.Join(t.TempDir(), "ws")}
	w.check(os.Mkdir(w.root, 0o755))
	for _, f := range files {
		w.write(f, f)
	}
	return w
}

// watch begins to watch; the test's end waits until all is closed.
func (w *workspace) watch(cfg Config, tune tuning) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cfg.Root = w.root
	cfg.Log = func(line string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.said = append(w.said, line)
	}
	if cfg.Folders == nil {
		cfg.Folders = []string{"go", "python"}
	}
	batches, err := start(ctx, cfg, tune)
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	w.batches = batches
	w.t.Cleanup(func() {
		cancel()
		for range batches {
		}
	})
}

// until reads batches until every one of the files has been in one, and returns all files that were, and the batches.
func (w *workspace) until(want ...string) (files []string, batches []Batch) {
	w.t.Helper()
	missing := map[string]bool{}
	for _, f := range want {
		missing[f] = true
	}
	deadline := time.After(patience)
	for len(missing) > 0 {
		select {
		case b := <-w.batches:
			batches = append(batches, b)
			files = append(files, b.Files...)
			for _, f := range b.Files {
				delete(missing, f)
			}
		case <-deadline:
			w.t.Fatalf("not reported: %d files, such as %v; reported: %d, log: %q", len(missing), firstFew(missing), len(files), w.log())
		}
	}
	slices.Sort(files)
	return slices.Compact(files), batches
}

// exactly does something and fails unless just the named files are reported: whatever else the change caused comes
// before the file that is written after it.
func (w *workspace) exactly(do func(), want ...string) {
	w.t.Helper()
	do()
	w.write("go/last.go", time.Now().String())
	got, _ := w.until(append(want, "go/last.go")...)
	if want = append(slices.Clone(want), "go/last.go"); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
		w.t.Errorf("reported %v, want %v", got, want)
	}
}

func (w *workspace) log() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.said, "\n")
}

func (w *workspace) path(rel string) string { return filepath.Join(w.root, filepath.FromSlash(rel)) }

func (w *workspace) write(rel, text string) {
	w.t.Helper()
	w.check(os.MkdirAll(filepath.Dir(w.path(rel)), 0o755))
	w.check(os.WriteFile(w.path(rel), []byte(text), 0o644))
}

func (w *workspace) rename(from, to string) {
	w.t.Helper()
	w.check(os.Rename(w.path(from), w.path(to)))
}

func (w *workspace) remove(rel string) { w.t.Helper(); w.check(os.RemoveAll(w.path(rel))) }

func (w *workspace) check(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func firstFew(set map[string]bool) []string {
	var few []string
	for f := range set {
		if few = append(few, f); len(few) == 5 {
			break
		}
	}
	return few
}
