package nodeimage

import (
	"fmt"
	"os"
)

// removeScratch removes a folder in which tools may have been killed: first the processes that still work there, then
// what is mounted there, and the files only when nothing is mounted any more.
func removeScratch(dir string) error {
	if _, err := os.Lstat(dir); os.IsNotExist(err) {
		return nil
	}
	if err := stopUnder(dir); err != nil {
		return fmt.Errorf("stop processes in %s: %w", dir, err)
	}
	if err := unmountUnder(dir); err != nil {
		return fmt.Errorf("unmount below %s: %w", dir, err)
	}
	return os.RemoveAll(dir)
}

// settle makes sure that a finished folder is nothing but files, which are on disk.
func settle(dir string) error {
	if err := unmountUnder(dir); err != nil {
		return fmt.Errorf("unmount below %s: %w", dir, err)
	}
	return syncFiles(dir)
}
