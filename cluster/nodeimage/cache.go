package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// cache is the folder of finished parts, and of unfinished ones beside them.
type cache struct{ dir string }

// unfinished begins the names of folders that are being filled. Whoever holds the lock may remove them.
const unfinished = "unfinished-"

// openCache opens the folder and removes what a build that was killed has left: its processes, mounts and files.
// The caller holds the lock.
func openCache(dir string) (cache, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return cache{}, err
	}
	// Mounts and processes are found by their real path.
	if abs, err = filepath.EvalSymlinks(abs); err != nil {
		return cache{}, err
	}
	left, err := filepath.Glob(filepath.Join(abs, unfinished+"*"))
	if err != nil {
		return cache{}, err
	}
	for _, l := range left {
		if err := removeScratch(l); err != nil {
			return cache{}, fmt.Errorf("remove what an interrupted build left: %w", err)
		}
	}
	return cache{abs}, nil
}

// path is where a finished part is.
func (c cache) path(p part) string { return filepath.Join(c.dir, p.key()) }

func (c cache) has(p part) bool {
	_, err := os.Stat(c.path(p))
	return err == nil
}

func (c cache) missing(parts []part) []part {
	var missing []part
	for _, p := range parts {
		if !c.has(p) {
			missing = append(missing, p)
		}
	}
	return missing
}

// ensure makes the part unless it is there. A part is there completely or not at all.
func (c cache) ensure(ctx context.Context, b *Builder, p part) (err error) {
	if c.has(p) {
		return nil
	}
	dir, remove, err := c.scratch(p.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := p.make(ctx, b, dir); err != nil {
		return fmt.Errorf("make %s: %w", p.name, err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := settle(dir); err != nil {
		return fmt.Errorf("finish %s: %w", p.name, err)
	}
	return os.Rename(dir, c.path(p))
}

// scratch makes a folder to work in, and returns how to remove it with everything that runs or is mounted there.
func (c cache) scratch(name string) (dir string, remove func() error, err error) {
	if dir, err = os.MkdirTemp(c.dir, unfinished+name+"-"); err != nil {
		return "", nil, err
	}
	return dir, func() error { return removeScratch(dir) }, os.Chmod(dir, 0o755)
}

// prune removes parts that aren't among those given: those of other versions.
func (c cache) prune(keep []part) error {
	wanted := map[string]bool{}
	for _, p := range keep {
		wanted[p.key()] = true
	}
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		for _, p := range keep {
			if e.IsDir() && strings.HasPrefix(e.Name(), p.name+"-") && !wanted[e.Name()] {
				if err := os.RemoveAll(filepath.Join(c.dir, e.Name())); err != nil {
					return fmt.Errorf("remove an old part: %w", err)
				}
			}
		}
	}
	return nil
}
