package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/images"
)

// mounts are folders on the host, one a service, each with what the service's image has in its working directory. Pods
// have them mounted there.
type mounts struct {
	dir    string
	reader *images.DirectoryReader
}

func (s *session) mounts() mounts { return mounts{dir: s.state.mounts(), reader: &s.directories} }

// mounted says what is in a folder. It lies beside the folder, and isn't there while the folder is being written: whoever
// finds none begins anew.
type mounted struct {
	Image   string            `json:"image"`   // digest
	Path    string            `json:"path"`    // in the container
	Outside string            `json:"outside"` // of the image, see images.Directory
	Sources map[string]string `json:"sources"` // likewise
}

func (m mounts) folder(service string) string { return filepath.Join(m.dir, service) }
func (m mounts) note(service string) string   { return filepath.Join(m.dir, "."+service+".json") }
func (m mounts) before(service string) string { return filepath.Join(m.dir, "."+service+".before") }

// read says what is in a service's folder; ok is false when that isn't known.
func (m mounts) read(service string) (in mounted, ok bool) {
	b, err := os.ReadFile(m.note(service))
	if err != nil || json.Unmarshal(b, &in) != nil {
		return mounted{}, false
	}
	return in, true
}

// put writes what an image has into its service's folder, file by file: Pods that have it mounted see it at once. points
// are places of volumes in its containers: those below it are folders that stay.
func (m mounts) put(service string, img v1.Image, points []string) error {
	d, err := m.reader.Read(img)
	if err != nil {
		return err
	}
	digest, err := img.Digest()
	if err != nil {
		return err
	}
	now := mounted{Image: digest.String(), Path: d.Path, Outside: d.Outside}
	if now.Sources, err = d.Sources(); err != nil {
		return err
	}
	var kept []string
	for _, p := range points {
		if below, ok := strings.CutPrefix(p, d.Path+"/"); ok {
			kept = append(kept, below)
		}
	}
	if err := os.MkdirAll(m.folder(service), 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(m.folder(service))
	if err != nil {
		return err
	}
	defer root.Close()
	was, _ := m.read(service)
	if err := m.forget(service); err != nil {
		return err
	}
	if err := d.Write(root, was.Sources, kept...); err != nil {
		return err
	}
	b, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return os.WriteFile(m.note(service), b, 0o600)
}

// forget forgets what is in a folder.
func (m mounts) forget(service string) error {
	if err := os.Remove(m.note(service)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// keep makes a copy of a service's folder, of links to its files, so that it can be gone back to.
func (m mounts) keep(service string) error {
	to := m.before(service)
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	if err := os.Link(m.note(service), filepath.Join(to, "note")); err != nil {
		return err
	}
	return linkTree(m.folder(service), filepath.Join(to, "files"))
}

// kept reports whether there is something to go back to.
func (m mounts) kept(service string) bool {
	_, err := os.Stat(filepath.Join(m.before(service), "note"))
	return err == nil
}

// goBack takes a service's folder back to what it was when it was kept.
func (m mounts) goBack(service string) error {
	from := m.before(service)
	if err := m.forget(service); err != nil {
		return err
	}
	files, to := filepath.Join(from, "files"), m.folder(service)
	if err := moveTree(files, to); err != nil {
		return fmt.Errorf("go back to the last good version: %w", err)
	}
	if err := os.Rename(filepath.Join(from, "note"), m.note(service)); err != nil {
		return err
	}
	return m.drop(service)
}

// drop removes what was kept.
func (m mounts) drop(service string) error { return os.RemoveAll(m.before(service)) }

// linkTree makes a folder like another, of links to its files.
func linkTree(from, to string) error {
	return filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		other := to + strings.TrimPrefix(p, from)
		if e.IsDir() {
			return os.Mkdir(other, 0o700)
		}
		return os.Link(p, other) // of a symbolic link too: to it, not to where it leads
	})
}

// moveTree moves files of a folder that linkTree has made over those of the folder that it was made of, each at once, and
// removes what has come since.
func moveTree(from, to string) error {
	err := filepath.WalkDir(from, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		other := to + strings.TrimPrefix(p, from)
		if info, err := os.Lstat(other); err == nil && info.IsDir() != e.IsDir() {
			if err := os.RemoveAll(other); err != nil {
				return err
			}
		}
		if e.IsDir() {
			return os.MkdirAll(other, 0o755)
		}
		part := other + ".part" // a rename to another link of the same file does nothing, so that this stays as it is
		if err := os.Link(p, part); err != nil {
			return err
		}
		return errors.Join(os.Rename(part, other), os.RemoveAll(part))
	})
	if err != nil {
		return err
	}
	return filepath.WalkDir(to, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if _, err := os.Lstat(from + strings.TrimPrefix(p, to)); err == nil {
			return nil
		}
		if err := os.RemoveAll(p); err != nil {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}
