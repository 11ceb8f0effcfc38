package images

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// contextTime is the modification time of every file in a build's context, so that equal files make equal layers.
// It is the earliest that a zip file, and so a Python wheel, can hold.
var contextTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// notInContext are the names of folders that no image needs and that change all the time.
var notInContext = map[string]bool{
	"__pycache__": true, ".git": true, ".venv": true, "venv": true, ".pytest_cache": true, ".mypy_cache": true, ".ruff_cache": true,
}

// copyTree copies a folder into a build's context. Links are followed: what they lead to may be outside the context.
func copyTree(from, to string, skip ...string) error {
	return copyDir(from, to, 0, skip)
}

// maxDepth ends the copying of a folder that contains a link to itself.
const maxDepth = 32

func copyDir(from, to string, depth int, skip []string) error {
	if depth > maxDepth {
		return fmt.Errorf("copy %s: folders nested more than %d deep (a link to a folder above?)", from, maxDepth)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if notInContext[name] || strings.HasSuffix(name, ".egg-info") || depth == 0 && slices.Contains(skip, name) {
			continue
		}
		src, dst := filepath.Join(from, name), filepath.Join(to, name)
		info, err := os.Stat(src)
		if err != nil {
			return err
		}
		switch {
		case info.IsDir():
			err = copyDir(src, dst, depth+1, skip)
		case info.Mode().IsRegular():
			err = copyFile(src, dst)
		}
		if err != nil {
			return err
		}
	}
	return os.Chtimes(to, contextTime, contextTime)
}

// copyFile copies one file. Of its mode only what git keeps is kept.
func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o100 != 0 {
		mode = 0o755
	}
	w, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.Chtimes(to, contextTime, contextTime)
}

// writeFile writes one file of a build's context.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, contextTime, contextTime)
}

// treeHash returns a hash of a folder's content: names, executable bits, bytes. extra is hashed with it.
func treeHash(dir string, extra ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", extra)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(h, "%q %v %d\n", filepath.ToSlash(name), info.Mode()&0o100 != 0, info.Size())
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(h, f)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
