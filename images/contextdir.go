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
	"time"
)

// contextTime is the modification time of every file in a build's context, so that equal files make equal layers.
// It is the earliest that a zip file, and so a Python wheel, can hold.
var contextTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// copyTree copies a folder's sources into a build's context, without the entries of it that are named in without.
func copyTree(from, to string, without ...string) error {
	skip := func(rel string) bool { return skipInContext(rel) || slices.Contains(without, rel) }
	var folders []string
	err := walkTree(from, skip, func(rel string, info fs.FileInfo) error {
		dst := filepath.Join(to, rel)
		if !info.IsDir() {
			return copyFile(filepath.Join(from, rel), dst)
		}
		folders = append(folders, dst)
		if err := os.MkdirAll(dst, 0o755); err != nil {
			return err
		}
		return os.Chmod(dst, 0o755) // whatever the umask is
	})
	if err != nil {
		return err
	}
	for _, dir := range folders { // not before everything is in them
		if err := os.Chtimes(dir, contextTime, contextTime); err != nil {
			return err
		}
	}
	return nil
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
	return settle(to, mode)
}

// writeFile writes one file of a build's context.
func writeFile(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return settle(path, 0o644)
}

// settle gives a file of a context its mode, of which the umask may have taken something, and its time.
func settle(path string, mode fs.FileMode) error {
	if err := os.Chmod(path, mode); err != nil {
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
