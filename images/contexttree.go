package images

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"
)

// contextTime is the modification time of every file in a build's context, so that equal files make equal layers.
// It is the earliest that a zip file, and so a Python wheel, can hold.
var contextTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// contextTree is what a build's context holds, by path, with slashes. It is known before anything is copied: most
// builds turn out to need no context.
type contextTree map[string]contextFile

// contextFile is one file or folder of a context. Of a file's mode only what git keeps is kept; folders are 0755.
type contextFile struct {
	folder     bool
	executable bool
	size       int64
	hash       string // SHA-256 of the content, in hexadecimal
	content    []byte // when it is no file of this machine
	source     string // the file of this machine
}

// addFolder adds a folder's sources under the path at, without the entries of it that are named in without.
func (t contextTree) addFolder(known *fileHashes, from, at string, without ...string) error {
	return t.addFolderBut(known, from, at, func(rel string) bool { return skipInContext(rel) || slices.Contains(without, rel) })
}

// addFolderBut adds what skip doesn't leave out.
func (t contextTree) addFolderBut(known *fileHashes, from, at string, skip func(rel string) bool) error {
	return walkTree(from, skip, func(rel string, info fs.FileInfo) error {
		dst := path.Join(at, filepath.ToSlash(rel))
		if info.IsDir() {
			if dst != "." {
				t[dst] = contextFile{folder: true}
			}
			return nil
		}
		return t.addFile(known, filepath.Join(from, rel), dst)
	})
}

// addFile adds one file of this machine.
func (t contextTree) addFile(known *fileHashes, from, at string) error {
	info, hash, err := known.hash(from)
	if err != nil {
		return err
	}
	t[at] = contextFile{executable: info.Mode()&0o100 != 0, size: info.Size(), hash: hash, source: from}
	return nil
}

// addContent adds a file that isn't on this machine.
func (t contextTree) addContent(content []byte, at string) {
	sum := sha256.Sum256(content)
	t[at] = contextFile{size: int64(len(content)), hash: hex.EncodeToString(sum[:]), content: content}
}

// paths are all of the tree's, a folder before what is in it.
func (t contextTree) paths() []string { return slices.Sorted(maps.Keys(t)) }

// hash is a hash of the files: names, executable bits, bytes. extra is hashed with it.
func (t contextTree) hash(extra ...string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q\n", extra)
	for _, p := range t.paths() {
		if f := t[p]; !f.folder {
			fmt.Fprintf(h, "%q %s\n", p, f.state())
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// state changes when the file does.
func (f contextFile) state() string { return fmt.Sprintf("%v %v %s", f.folder, f.executable, f.hash) }

func (f contextFile) mode() fs.FileMode {
	if f.folder || f.executable {
		return 0o755
	}
	return 0o644
}

func (f contextFile) open() (io.ReadCloser, error) {
	if f.source == "" {
		return io.NopCloser(bytes.NewReader(f.content)), nil
	}
	return os.Open(f.source)
}

// write makes a context of the tree in a folder that is there.
func (t contextTree) write(dir string) error {
	paths := t.paths()
	for _, p := range paths {
		dst := filepath.Join(dir, filepath.FromSlash(p))
		if t[p].folder {
			if err := os.MkdirAll(dst, 0o755); err != nil {
				return err
			}
			continue
		}
		if err := t[p].copyTo(dst); err != nil {
			return err
		}
	}
	for _, p := range slices.Backward(paths) { // a folder's time not before everything is in it
		if err := settle(filepath.Join(dir, filepath.FromSlash(p)), t[p].mode()); err != nil {
			return err
		}
	}
	return nil
}

func (f contextFile) copyTo(dst string) error {
	r, err := f.open()
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(dst)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return err
	}
	return w.Close()
}

// settle gives a file of a context its mode, of which the umask may have taken something, and its time.
func settle(path string, mode fs.FileMode) error {
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.Chtimes(path, contextTime, contextTime)
}
