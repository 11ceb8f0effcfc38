package watch

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// Config says what to watch.
type Config struct {
	Root    string   // the workspace, absolute
	Folders []string // relative to Root, watched with everything below; one that doesn't exist is noticed when it appears

	Ignore func(rel string, dir bool) bool // a further rule, or nil; asked for what the other rules let through
	Log    func(line string)               // gets lines for people, or nil; must not block

	Quiet time.Duration // without a change for so long, a batch is complete; 0 is 75 ms
	Cap   time.Duration // a batch is given at the latest so long after its first change; 0 is 1 s
	Poll  bool          // look every second from the start: what is left when Watch returns a [LimitError]
}

// Batch is what changed within a short time.
type Batch struct {
	Files  []string  // with slashes, relative to Root, sorted, each once; never empty
	First  time.Time // when the first of the changes was seen
	Rescan bool      // events were lost: Files are what differs in name, size, time or mode
}

// defaultQuiet and defaultCap: an editor's save is several events within a few milliseconds, and a person doesn't
// notice less than 100; a checkout or a code generator that writes for longer should not hold everything up.
const (
	defaultQuiet = 75 * time.Millisecond
	defaultCap   = time.Second
)

// Watch watches until ctx ends, then closes the channel; by then everything that it opened is closed. When Watch
// returns, every later change will be in a batch. It fails when the root isn't a folder or with a [LimitError].
func Watch(ctx context.Context, cfg Config) (<-chan Batch, error) {
	return start(ctx, cfg, defaultTuning)
}

// tuning is what only tests set otherwise.
type tuning struct {
	pollEvery time.Duration
	probeWait time.Duration          // without a sign of the probe for so long, events don't arrive
	probe     func(dir string) error // causes an event for a watched folder
	mountInfo string                 // the kernel's list of mounts
}

var defaultTuning = tuning{pollEvery: time.Second, probeWait: time.Second, probe: probe, mountInfo: "/proc/self/mountinfo"}

func start(ctx context.Context, cfg Config, tune tuning) (<-chan Batch, error) {
	w, err := newWatcher(cfg, tune)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", cfg.Root, err)
	}
	out := make(chan Batch)
	go w.run(ctx, out)
	return out, nil
}

func newWatcher(cfg Config, tune tuning) (*watcher, error) {
	if cfg.Quiet == 0 {
		cfg.Quiet = defaultQuiet
	}
	if cfg.Cap == 0 {
		cfg.Cap = defaultCap
	}
	if cfg.Log == nil {
		cfg.Log = func(string) {}
	}
	if !filepath.IsAbs(cfg.Root) {
		return nil, fmt.Errorf("the root must be an absolute path")
	}
	cfg.Root = filepath.Clean(cfg.Root)
	// Checked here because a missing root looks like one that has just been removed to everything below.
	if _, err := os.ReadDir(cfg.Root); err != nil {
		return nil, err
	}
	w := &watcher{
		cfg: cfg, tune: tune, quiet: stopped(), unanswered: stopped(),
		folders: map[string]*folder{}, dirty: map[string]change{}, complained: map[string]bool{},
	}
	var err error
	if w.listed, w.above, err = scope(cfg.Folders); err != nil {
		return nil, err
	}
	w.rules = newRules(cfg.Root, cfg.Ignore)
	return w, w.begin()
}

// scope cleans the folders' names and returns them, without those that lie in another, and the folders above them up
// to the root: those are watched as well, to see the listed ones come and go.
func scope(folders []string) (listed, above map[string]bool, err error) {
	listed, above = map[string]bool{}, map[string]bool{}
	for _, f := range folders {
		if !filepath.IsLocal(f) {
			return nil, nil, fmt.Errorf("folder %q is not below the root", f)
		}
		listed[path.Clean(filepath.ToSlash(f))] = true
	}
	for f := range listed {
		up := parents(f)
		if slices.ContainsFunc(up, func(p string) bool { return listed[p] }) {
			delete(listed, f)
			continue
		}
		for _, p := range up {
			above[p] = true
		}
	}
	return listed, above, nil
}

// parents returns the folders that rel lies in, the nearest first and the root, ".", last.
func parents(rel string) []string {
	var up []string
	for rel != "." {
		rel = path.Dir(rel)
		up = append(up, rel)
	}
	return up
}
