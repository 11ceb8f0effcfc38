package scaffold

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
)

// Names in a stage: the folder, hidden in the workspace, in which changes are prepared and what was there before is kept.
const (
	stagePrefix = ".dynsandbox-"
	journalFile = "journal" // what the numbered files are; there while the changes are being made
	madeFile    = "made"    // the same, when all were made and only folders are to be tidied
	lockName    = "lock"    // held by whoever makes them
)

// entry is a change in the journal of a stage: what has to be known to take it back.
type entry struct {
	Path   string
	Before bool   // there was such a file
	After  string // the hash of what comes into its place; "": nothing
}

func journalOf(cs Changes) ([]byte, error) {
	entries := make([]entry, len(cs))
	for i, c := range cs {
		entries[i] = entry{Path: c.Path, Before: c.Before != nil}
		if c.After != nil {
			entries[i].After = hash(c.After)
		}
	}
	return json.Marshal(entries)
}

func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// PendingError tells of changes that were broken off half-way, and are still to be taken back.
type PendingError struct{ Files []string }

// Error names the files.
func (e *PendingError) Error() string {
	return "an earlier command was killed while it changed the workspace, half of it is done: " + strings.Join(e.Files, ", ")
}

// Recover takes back what [Changes.Apply] left half-done because its process was killed, and returns the files. What another
// process is at is left alone. A file that was worked on since stays, with the stage, and is an error.
func Recover(root string) ([]string, error) {
	return eachStage(root, os.O_CREATE|os.O_RDONLY, recoverStage)
}

// Pending is a [PendingError] where [Recover] would have something to take back. Nothing is changed.
func Pending(root string) error {
	files, err := eachStage(root, os.O_RDONLY, func(_, stage string) ([]string, error) {
		entries, err := readJournal(stage, journalFile)
		if err != nil {
			return nil, err
		}
		var files []string
		for _, e := range entries {
			files = append(files, e.Path)
		}
		return files, nil
	})
	if err == nil && len(files) > 0 {
		return &PendingError{files}
	}
	return err
}

// eachStage does something with each stage that nobody works in any more. A lock is opened with the flag.
func eachStage(root string, flag int, do func(root, stage string) ([]string, error)) (files []string, err error) {
	stages, err := fs.Glob(os.DirFS(root), stagePrefix+"*")
	if err != nil {
		return nil, err
	}
	for _, name := range stages {
		stage := filepath.Join(root, name)
		if info, err := os.Lstat(stage); err != nil || !info.IsDir() {
			continue
		}
		lock := flock.New(filepath.Join(stage, lockName), flock.SetFlag(flag))
		alone, err := lock.TryLock()
		if err == nil && !alone {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // without a lock nobody works in it, or it went meanwhile
			return files, err
		}
		done, err := do(root, stage)
		files = append(files, done...)
		lock.Close()
		if err != nil {
			return files, err
		}
	}
	return files, nil
}

// readJournal returns nothing where there is none.
func readJournal(stage, name string) (entries []entry, err error) {
	data, err := os.ReadFile(filepath.Join(stage, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &entries)
	}
	if err != nil {
		return nil, fmt.Errorf("read what an earlier command had changed: %w", err)
	}
	return entries, nil
}

// recoverStage takes back the changes of a stage, the last first, or tidies up after those that were all made, and removes it.
func recoverStage(root, stage string) (files []string, err error) {
	t := transaction{root: root, stage: stage}
	made, err := readJournal(stage, madeFile)
	if err != nil {
		return nil, err
	}
	for _, e := range made {
		if e.After == "" {
			t.tidy([]Change{{Path: e.Path}})
		}
	}
	entries, err := readJournal(stage, journalFile)
	if err != nil {
		return nil, err
	}
	var worked []string
	for i, e := range slices.Backward(entries) {
		undone, err := t.takeBack(i, e)
		switch {
		case errors.Is(err, errWorkedOn):
			worked = append(worked, e.Path)
		case err != nil:
			return files, fmt.Errorf("take back what an earlier command had changed; what was there before is in %s: %w", stage, err)
		case undone:
			files = append(files, e.Path)
		}
	}
	if len(worked) > 0 {
		return files, fmt.Errorf("an earlier command was killed while it changed %s, which were worked on since: look at them, and at what was there before in %s, then remove that folder",
			strings.Join(worked, ", "), stage)
	}
	return files, os.RemoveAll(stage)
}

var errWorkedOn = errors.New("worked on since")

// takeBack takes back one change, as far as it was made.
func (t *transaction) takeBack(i int, e entry) (undone bool, err error) {
	c := Change{Path: e.Path}
	if e.Before {
		c.Before = []byte{}
	}
	if e.After != "" {
		c.After = []byte{}
	}
	path, err := t.target(c)
	if err != nil {
		return false, err
	}
	old := t.staged(i) + ".old"
	if !e.Before {
		defer t.tidy([]Change{{Path: e.Path}})
	}
	if e.After != "" && exists(t.staged(i)) || e.Before && !exists(old) {
		return false, nil // it hadn't come to that
	}
	now, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && e.After == "":
		return true, os.Rename(old, path)
	case errors.Is(err, fs.ErrNotExist) && !e.Before:
		return false, nil
	case err != nil:
		return false, err
	case hash(now) != e.After:
		return false, errWorkedOn
	case e.Before:
		return true, os.Rename(old, path)
	}
	return true, os.Remove(path)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
