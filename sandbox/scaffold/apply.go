package scaffold

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/gofrs/flock"

	"github.com/dynsandbox/dynsandbox/sandbox/pyenv"
)

// Apply makes all of the changes, or none: what fails half-way is taken back. A file that isn't as it was when the changes
// were thought out is refused. What a killed process leaves half-done, [Recover] takes back.
func (cs Changes) Apply(root string) (err error) {
	// What is new comes first, so that whoever reads an edited file finds what it refers to; what goes, goes last.
	order := slices.Clone(cs)
	rank := map[string]int{"created": 0, "changed": 1, "removed": 2}
	slices.SortStableFunc(order, func(a, b Change) int { return cmp.Compare(rank[a.Kind()], rank[b.Kind()]) })
	stage, err := os.MkdirTemp(root, stagePrefix) // hidden: nobody watches it, and renames from there are at once
	if err != nil {
		return fmt.Errorf("write to the workspace: %w", err)
	}
	lock := flock.New(filepath.Join(stage, lockName))
	defer lock.Close()
	if err := lock.Lock(); err != nil {
		return errors.Join(err, os.RemoveAll(stage))
	}
	t := transaction{root: root, stage: stage}
	defer func() {
		if err != nil {
			if undone := t.undo(); undone != nil { // what isn't back is still there
				err = errors.Join(err, fmt.Errorf("take back what was changed; what was there before is in %s: %w", stage, undone))
				return
			}
		}
		err = errors.Join(err, os.RemoveAll(stage))
	}()
	for i, c := range order {
		if err := t.prepare(i, c); err != nil {
			return err
		}
	}
	if err := t.begin(order); err != nil {
		return err
	}
	for i, c := range order {
		if err := t.make(i, c); err != nil {
			return err
		}
	}
	if err := t.end(); err != nil {
		return err
	}
	t.tidy(order)
	return nil
}

// transaction keeps what undoes the changes so far.
type transaction struct {
	root, stage string
	back        []func() error
}

func (t *transaction) target(c Change) (string, error) {
	path := filepath.Join(t.root, filepath.FromSlash(c.Path))
	if c.Kind() == "changed" {
		return filepath.EvalSymlinks(path) // a link stays one
	}
	return path, nil
}

func (t *transaction) staged(i int) string { return filepath.Join(t.stage, strconv.Itoa(i)) }

func (t *transaction) journal() string { return filepath.Join(t.stage, journalFile) }

// begin notes what is going to be made. The note is there at once, or not at all.
func (t *transaction) begin(order Changes) error {
	text, err := journalOf(order)
	if err != nil {
		return err
	}
	if err := os.WriteFile(t.journal()+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(t.journal()+".new", t.journal())
}

// end notes that all is made: from here on nothing is taken back.
func (t *transaction) end() error { return os.Rename(t.journal(), filepath.Join(t.stage, madeFile)) }

// prepare writes the new content beside, and checks that the file is the one that was read.
func (t *transaction) prepare(i int, c Change) error {
	path, err := t.target(c)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	now, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.Before == nil:
	case err != nil:
		return err
	case c.Before == nil || !bytes.Equal(now, c.Before):
		return fmt.Errorf("%s was changed meanwhile", c.Path)
	default:
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		mode = info.Mode().Perm()
	}
	if c.After == nil {
		return nil
	}
	if err := os.WriteFile(t.staged(i), c.After, mode); err != nil {
		return err
	}
	return os.Chmod(t.staged(i), mode)
}

// make puts a file into its place.
func (t *transaction) make(i int, c Change) error {
	path, err := t.target(c)
	if err != nil {
		return err
	}
	if err := t.folders(filepath.Dir(path)); err != nil {
		return err
	}
	old := t.staged(i) + ".old"
	if c.Before != nil {
		if c.After == nil {
			err = os.Rename(path, old)
		} else {
			err = os.Link(path, old) // it is never away
		}
		if err != nil {
			return err
		}
		t.back = append(t.back, func() error { return os.Rename(old, path) })
	}
	if c.After == nil {
		return nil
	}
	if err := os.Rename(t.staged(i), path); err != nil {
		return err
	}
	if c.Before == nil {
		t.back = append(t.back, func() error { return os.Remove(path) })
	}
	return nil
}

// folders makes a folder and those above it.
func (t *transaction) folders(dir string) error {
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := t.folders(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	t.back = append(t.back, func() error { return os.Remove(dir) })
	return nil
}

func (t *transaction) undo() error {
	var errs []error
	for _, back := range slices.Backward(t.back) {
		errs = append(errs, back())
	}
	return errors.Join(errs...)
}

// tidy removes folders that have nothing left in them but what tools write.
func (t *transaction) tidy(order []Change) {
	for _, c := range order {
		if c.After != nil {
			continue
		}
		for dir := filepath.Dir(filepath.FromSlash(c.Path)); dir != "."; dir = filepath.Dir(dir) {
			at := filepath.Join(t.root, dir)
			entries, err := os.ReadDir(at)
			if err != nil || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !goesWith(at, e) }) {
				break
			}
			if os.RemoveAll(at) != nil {
				break
			}
		}
	}
}

// goesWith tells what goes with a folder that has nothing else in it. An environment that a person made isn't made again by
// itself.
func goesWith(dir string, e fs.DirEntry) bool {
	return isToolFolder(e) && (e.Name() != pyenv.Folder || pyenv.Ours(filepath.Join(dir, e.Name())))
}

// Environments tells what becomes of virtual environments in folders that lose all their files: those that were made by us go,
// those of a person stay.
func (cs Changes) Environments(root string) (notes []string, err error) {
	removed := map[string]bool{}
	dirs := map[string]bool{}
	for _, c := range cs {
		if c.After == nil {
			removed[c.Path], dirs[path.Dir(c.Path)] = true, true
		}
	}
	for _, dir := range sortedKeys(dirs) {
		at := filepath.Join(root, filepath.FromSlash(dir), pyenv.Folder)
		if _, err := os.Lstat(at); err != nil {
			continue
		}
		files, err := Workspace{Dir: root}.filesBelow(dir)
		switch {
		case err != nil:
			return nil, err
		case slices.ContainsFunc(files, func(file string) bool { return !removed[file] }):
		case pyenv.Ours(at):
			notes = append(notes, path.Join(dir, pyenv.Folder)+" goes with it")
		default:
			notes = append(notes, path.Join(dir, pyenv.Folder)+" stays: dynsandbox venv didn't make it")
		}
	}
	return notes, nil
}

// isToolFolder tells what running and testing a service leaves beside its sources.
func isToolFolder(e fs.DirEntry) bool {
	return e.IsDir() && slices.Contains([]string{pyenv.Folder, "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}, e.Name())
}
