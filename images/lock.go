package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockPoll is how often a lock that somebody else holds is tried again.
const lockPoll = 100 * time.Millisecond

// lockFile waits for a lock that holds between processes, and between goroutines too: each call opens the file anew.
// The file stays, because removing it would let two callers lock two files of one name.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	lock := flock.New(path)
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return nil, err
	}
	return func() { lock.Close() }, nil
}

// scratchDir returns a new folder in parent for the holder of a lock; those with the same prefix that earlier, killed
// holders left are removed.
func scratchDir(parent, prefix string) (string, error) {
	if err := removeAll(filepath.Join(parent, prefix+"*")); err != nil {
		return "", err
	}
	return os.MkdirTemp(parent, prefix)
}

// sharedScratchDir is scratchDir for callers that work at the same time. Each holds the lock shared while it has its
// folder: when nobody does, whatever is there was left by the killed.
func sharedScratchDir(ctx context.Context, parent, prefix string) (dir string, remove func(), err error) {
	lock := flock.New(filepath.Join(parent, prefix+"lock"))
	alone, err := lock.TryLock()
	if alone {
		err = removeAll(filepath.Join(parent, prefix+"[0-9]*"))
		lock.Unlock() //nolint:errcheck // the next line reports a lock that can't be had
	}
	if err == nil {
		_, err = lock.TryRLockContext(ctx, lockPoll)
	}
	if err != nil {
		lock.Close()
		return "", nil, fmt.Errorf("lock the folder of builds: %w", err)
	}
	if dir, err = os.MkdirTemp(parent, prefix); err != nil {
		lock.Close()
		return "", nil, err
	}
	return dir, func() {
		os.RemoveAll(dir)
		lock.Close()
	}, nil
}

// removeAll removes the files and folders that match a pattern.
func removeAll(pattern string) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}
