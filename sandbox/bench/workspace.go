package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// copyTree makes to a copy of the folder from, as it is now: times too, by which it is told what is built already.
func copyTree(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dest := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "__pycache__"):
			return fs.SkipDir // the tools' own
		case d.IsDir():
			return os.MkdirAll(dest, 0o755)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, dest)
		}
		return copyFile(path, dest)
	})
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, b, info.Mode().Perm()); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// source is a file of the workspace that is edited: a text in it is replaced by a marker.
type source struct {
	path, text string
	original   string
}

func openSource(path, text string) (source, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return source{}, err
	}
	if !strings.Contains(string(b), text) {
		return source{}, fmt.Errorf("%s has no %q: the benchmark edits that text", path, text)
	}
	return source{path, text, string(b)}, nil
}

// edited is the file's text with a marker in it.
func (s source) edited(marker string) []byte {
	return []byte(strings.Replace(s.original, s.text, marker, 1))
}

// save writes the file with a marker.
func (s source) save(marker string) error { return os.WriteFile(s.path, s.edited(marker), 0o644) }

// restore writes the file as it was.
func (s source) restore() error { return os.WriteFile(s.path, []byte(s.original), 0o644) }

// newMarker is a text that no earlier run has used: nothing that is made from it is in a cache.
func newMarker() string { return "marker" + strconv.FormatInt(time.Now().UnixNano(), 36) }
