package watch

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// source is a stream of events from the kernel. A nil source has none: its methods do nothing.
type source struct {
	*fsnotify.Watcher
	lost chan error // holds one when events may have been lost
	done chan struct{}
}

func openSource() (*source, error) {
	fsw, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	s := &source{Watcher: fsw, lost: make(chan error, 1), done: make(chan struct{})}
	// Errors are taken off by a goroutine of their own: fsnotify sends some of them while it holds the lock that Add
	// and Remove need, and whoever watches could be in one of the two.
	go func() {
		defer close(s.done)
		for err := range fsw.Errors {
			select {
			case s.lost <- err:
			default: // one says it all
			}
		}
	}()
	return s, nil
}

// add watches a folder; one that is watched already stays so.
func (s *source) add(dir string) error {
	if s == nil {
		return nil
	}
	err := s.Watcher.Add(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil // reading it will say the same
	}
	return err
}

// remove stops watching a folder. Must be called for a folder that was moved before it is added under its new name:
// the kernel knows it by inode, and fsnotify would go on using the old one.
func (s *source) remove(dir string) {
	if s != nil {
		_ = s.Watcher.Remove(dir) // it fails when the folder is gone, which is as good
	}
}

// close stops everything that the source has running.
func (s *source) close() {
	if s != nil {
		_ = s.Watcher.Close() // nothing is lost by a failure: nobody reads any more
		<-s.done
	}
}

func (s *source) events() <-chan fsnotify.Event {
	if s == nil {
		return nil
	}
	return s.Watcher.Events
}

func (s *source) losses() <-chan error {
	if s == nil {
		return nil
	}
	return s.lost
}
