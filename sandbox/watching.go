package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
	"github.com/dynsandbox/dynsandbox/sandbox/watch"
)

// watchWorkspace brings every change of the workspace's files into the platform, from now on and until ctx ends.
// Changes made while a bring-up runs are looked at after it.
func (s *session) watchWorkspace(ctx context.Context, workspace string) error {
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

// setWatch starts or stops the watching.
func (s *session) setWatch(on bool, workspace string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !on {
		if s.holds.unwatch != nil {
			s.holds.unwatch()
			s.holds.unwatch = nil
		}
		return nil
	}
	if s.holds.unwatch != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(s.base)
	if err := s.watchWorkspace(ctx, workspace); err != nil {
		cancel()
		return err
	}
	s.holds.unwatch = cancel
	return nil
}

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
		s.work.Lock()
		r := s.reloader()
		now, err := filesState(r.bring.workspace.dir)
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
