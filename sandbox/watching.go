package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
	"github.com/dynsandbox/dynsandbox/sandbox/watch"
)

// watchWorkspace brings every change of the workspace's files into the platform, from now on and until ctx ends.
// Changes made while a bring-up runs are looked at after it.
func (s *session) watchWorkspace(ctx context.Context, workspace string, root fs.FileInfo) error {
	note := func(line string) { s.events.add(&control.Event{Kind: control.Event_NOTE, Text: line}) }
	folders, err := images.SourceFolders(workspace)
	if err != nil {
		return err
	}
	cfg := watch.Config{Root: workspace, Folders: append(folders, chartsDir, "configuration"), Log: note}
	batches, err := watch.Watch(ctx, cfg)
	if limit := (*watch.LimitError)(nil); errors.As(err, &limit) {
		note(limit.Error() + "; until then the files are looked at every second")
		cfg.Poll = true
		batches, err = watch.Watch(ctx, cfg)
	}
	if err != nil {
		return err
	}
	go s.watchRoot(ctx, workspace, root)
	go func() {
		for b := range batches {
			s.batches.Add(1)
			state, err := filesState(workspace) // what changes from now on is in another batch
			s.work.Lock()
			if r := s.reloader(); r != nil && ctx.Err() == nil {
				if err == nil {
					r.seen = state
				}
				r.files(ctx, b.Files, b.First)
			}
			s.batches.Add(-1)
			s.work.Unlock()
		}
	}()
	return nil
}

// setWatch starts or stops the watching. A folder that has come in the place of the one that is watched is watched anew.
func (s *session) setWatch(on bool, workspace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	root, err := os.Stat(workspace)
	if err != nil {
		return err
	}
	if s.holds.unwatch != nil && (!on || !os.SameFile(root, s.holds.watched)) {
		s.holds.unwatch()
		s.holds.unwatch = nil
	}
	if !on || s.holds.unwatch != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(s.base)
	if err := s.watchWorkspace(ctx, workspace, root); err != nil {
		cancel()
		return err
	}
	s.holds.unwatch, s.holds.watched = cancel, root
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

// settled waits until the files of the workspace are as they were when they were last looked at, by a reload or a bring-up.
// What the watcher leaves out, as an editor's own files, may differ for good: that is waited for no longer than a change
// takes to arrive.
func (s *session) settled(ctx context.Context) error {
	began := time.Now()
	for {
		now, err := filesState(s.reloader().dir) // beside a reload, which need not wait for it
		s.work.Lock()
		r := s.reloader()
		quiet := now == r.seen || time.Since(began) > arrival && s.batches.Load() == 0
		s.work.Unlock()
		if err != nil || quiet {
			return err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// arrival is far above what the watcher takes to tell of a change: 75 ms of quiet, or at most a second, or two where it polls.
const arrival = 5 * time.Second

// filesState changes with every file that a running platform depends on.
func filesState(workspace string) (string, error) {
	sources, err := images.Fingerprint(workspace)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, dir := range []string{chartsDir, launchFilesDir} {
		err := filepath.WalkDir(filepath.Join(workspace, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err == nil {
				fmt.Fprintf(h, "%q %d %d\n", path, info.Size(), info.ModTime().UnixNano())
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // gone since it was listed
			return "", err
		}
	}
	return sources + hex.EncodeToString(h.Sum(nil)), nil
}
