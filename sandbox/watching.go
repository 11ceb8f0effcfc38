package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
	"github.com/dynsandbox/dynsandbox/sandbox/watch"
)

// watched is what of a workspace is watched.
type watched struct {
	workspace string
	root      fs.FileInfo // its folder
	folders   []string    // those in it
}

func whatToWatch(workspace string) (w watched, err error) {
	w.workspace = workspace
	if w.root, err = os.Stat(workspace); err != nil {
		return w, err
	}
	w.folders, err = images.SourceFolders(workspace)
	w.folders = append(w.folders, chartsDir, "configuration")
	return w, err
}

func (w watched) equals(other watched) bool {
	return w.workspace == other.workspace && os.SameFile(w.root, other.root) && slices.Equal(w.folders, other.folders)
}

// watchWorkspace brings every change of the workspace's files into the platform, from now on and until ctx ends.
// Changes made while a bring-up runs are looked at after it.
func (s *session) watchWorkspace(ctx context.Context, what watched) error {
	note := func(line string) { s.events.add(&control.Event{Kind: control.Event_NOTE, Text: line}) }
	workspace := what.workspace
	cfg := watch.Config{Root: workspace, Folders: what.folders, Log: note}
	batches, err := watch.Watch(ctx, cfg)
	if limit := (*watch.LimitError)(nil); errors.As(err, &limit) {
		note(limit.Error() + "; until then the files are looked at every second")
		cfg.Poll = true
		batches, err = watch.Watch(ctx, cfg)
	}
	if err != nil {
		return err
	}
	go s.watchRoot(ctx, workspace, what.root)
	go s.bringInAll(workspace, batches)
	return nil
}

// bringInAll brings in all batches. Those that come while another holds the work are brought in as one. What has arrived when
// the watch ends still is.
func (s *session) bringInAll(workspace string, batches <-chan watch.Batch) {
	var arrived arrivals
	for b := range batches {
		if arrived.add(b) {
			s.batches.Add(1)
			go s.bringIn(s.base, workspace, &arrived)
		}
	}
}

// arrivals are the changed files that nobody has looked at yet.
type arrivals struct {
	mu    sync.Mutex
	batch watch.Batch
}

// add reports whether there were none before.
func (a *arrivals) add(b watch.Batch) (first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first = len(a.batch.Files) == 0
	a.batch = joined(a.batch, b)
	return first
}

func (a *arrivals) take() watch.Batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.batch
	a.batch = watch.Batch{}
	return b
}

// joined is one batch of two, the first of which may have no files.
func joined(a, b watch.Batch) watch.Batch {
	if len(a.Files) == 0 {
		return b
	}
	files := slices.Sorted(slices.Values(slices.Concat(a.Files, b.Files)))
	return watch.Batch{Files: slices.Compact(files), First: a.First, Rescan: a.Rescan || b.Rescan}
}

// bringIn brings in what has arrived.
func (s *session) bringIn(ctx context.Context, workspace string, arrived *arrivals) {
	s.work.Lock()
	defer s.work.Unlock()
	defer func() { s.batched = time.Now() }()
	ended := s.work.until(ctx, func() bool { return s.work.alone == 0 })
	b := arrived.take()
	s.batches.Add(-1)
	r := s.reloader()
	if r == nil || ended != nil || r.dir != workspace {
		return
	}
	// What changes from now on is in another batch, and so is what else has changed.
	if state, err := readFileStates(workspace); err == nil {
		r.seen = r.seen.with(b.Files, state)
	}
	r.files(ctx, b.Files, b.First)
}

// setWatch starts or stops the watching. It begins anew when the workspace was moved, another folder has come in its place,
// or a folder with sources has come into it.
func (s *session) setWatch(on bool, workspace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	what, err := whatToWatch(workspace)
	if err != nil {
		return err
	}
	if s.holds.unwatch != nil && (!on || !what.equals(s.holds.watched)) {
		s.holds.unwatch()
		s.holds.unwatch = nil
	}
	if !on || s.holds.unwatch != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(s.base)
	if err := s.watchWorkspace(ctx, what); err != nil {
		cancel()
		return err
	}
	s.holds.unwatch, s.holds.watched = cancel, what
	return nil
}

// rootEvery is how often it is looked whether the workspace's folder is still the one that is watched.
const rootEvery = 2 * time.Second

// watchRoot tells when the workspace's folder was moved away or another took its place: changes of what is there now
// aren't seen until the next bring-up.
func (s *session) watchRoot(ctx context.Context, workspace string, root fs.FileInfo) {
	for sleep(ctx, rootEvery) == nil {
		if now, err := os.Stat(workspace); err == nil && os.SameFile(now, root) {
			continue
		}
		s.work.Lock()
		defer s.work.Unlock()
		if r := s.reloader(); r != nil && ctx.Err() == nil {
			r.refuse(fmt.Errorf("%w: %s", errReplaced, workspace))
		}
		return
	}
}

var errReplaced = errors.New("the workspace's folder was moved or replaced, and its files are not watched any more")

// reloader returns what a bring-up that came through has left, or nil.
func (s *session) reloader() *reloader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds.reloader
}

// ErrNotBroughtIn is the error of a wait for changes that nothing brings into the platform.
var ErrNotBroughtIn = errors.New("changed, and not brought into the platform")

// settled waits until the files of the workspace are as they were when they were last looked at, by a reload or a bring-up.
// That takes no longer than a change takes to arrive and to go through; what differs then, or isn't watched, is an error.
func (s *session) settled(ctx context.Context) error {
	began := time.Now()
	for {
		r := s.reloader()
		if r == nil {
			return ErrNotReady
		}
		now, err := readFileStates(r.dir) // beside a reload, which need not wait for it
		if err != nil {
			return err
		}
		s.work.Lock()
		changed := now.changed(r.dir, r.seen)
		watched := s.watches()
		arriving := s.batches.Load() > 0 || time.Since(began) < arrival || time.Since(s.batched) < arrival
		lost := len(changed) > 0 && (!watched || !arriving)
		if lost { // looked at once more, as a reload may have seen newer files meanwhile
			now, err = readFileStates(r.dir)
			changed = now.changed(r.dir, r.seen)
		}
		current := r == s.reloader()
		s.work.Unlock()
		switch {
		case err != nil:
			return err
		case len(changed) == 0:
			return nil
		case lost && current && !watched:
			return fmt.Errorf("%w, as the workspace isn't watched: %s", ErrNotBroughtIn, few(changed))
		case lost && current:
			return fmt.Errorf("%w, as the watcher tells nothing of them: %s", ErrNotBroughtIn, few(changed))
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// watches reports whether the workspace's files are watched.
func (s *session) watches() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds.unwatch != nil
}

// few names the first of a list of files.
func few(files []string) string {
	const most = 5
	if n := len(files) - most; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(files[:most], ", "), n)
	}
	return strings.Join(files, ", ")
}

// arrival is far above what the watcher takes to tell of a change: 75 ms of quiet, or at most a second, or two where it polls.
const arrival = 5 * time.Second
