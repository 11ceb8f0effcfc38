package nodeimage

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// entry is one file of an image: a copy of a file of this machine, a symbolic link, or an empty folder.
type entry struct {
	from string // file to copy
	link string // or the link's target
	to   string // absolute; a folder's ends in "/"
	mode fs.FileMode
}

// layer is an image layer that isn't compressed, so that nobody has to uncompress it. It is read anew on every use.
type layer struct {
	open func() (io.ReadCloser, error)
	hash v1.Hash
	size int64
}

// newLayer reads a tar archive once, for its hash and size.
func newLayer(open func() (io.ReadCloser, error)) (*layer, error) {
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := sha256.New()
	n, err := io.Copy(h, r)
	if err != nil {
		return nil, err
	}
	return &layer{open, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}, n}, nil
}

func (l *layer) Digest() (v1.Hash, error)             { return l.hash, nil }
func (l *layer) DiffID() (v1.Hash, error)             { return l.hash, nil }
func (l *layer) Compressed() (io.ReadCloser, error)   { return l.open() }
func (l *layer) Uncompressed() (io.ReadCloser, error) { return l.open() }
func (l *layer) Size() (int64, error)                 { return l.size, nil }
func (l *layer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

// oneLayer makes an image of one layer.
func oneLayer(open func() (io.ReadCloser, error), created time.Time, config v1.Config) (v1.Image, error) {
	l, err := newLayer(open)
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), l)
	if err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = runtime.GOARCH, "linux"
	file.Created = v1.Time{Time: created}
	file.Config = config
	return mutate.ConfigFile(img, file)
}

// archive returns a tar archive of the entries. It has the same bytes every time.
func archive(entries []entry) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeArchive(w, entries)) }()
		return r, nil
	}
}

func writeArchive(w io.Writer, entries []entry) error {
	t := tar.NewWriter(w)
	made := map[string]bool{}
	for _, e := range entries {
		if err := writeFolders(t, path.Dir(e.to), made); err != nil {
			return err
		}
		if err := writeEntry(t, e, made); err != nil {
			return fmt.Errorf("add %s to an image: %w", e.to, err)
		}
	}
	return t.Close()
}

func writeEntry(t *tar.Writer, e entry, made map[string]bool) error {
	name := strings.TrimPrefix(e.to, "/")
	switch {
	case strings.HasSuffix(e.to, "/"):
		return writeFolders(t, path.Clean(e.to), made)
	case e.link != "":
		return t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: e.link, Mode: 0o777, ModTime: time.Unix(0, 0)})
	}
	f, err := os.Open(e.from)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: int64(e.mode), ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// writeFolders writes a folder after those that it is in, each once.
func writeFolders(t *tar.Writer, dir string, made map[string]bool) error {
	if dir == "/" || made[dir] {
		return nil
	}
	if err := writeFolders(t, path.Dir(dir), made); err != nil {
		return err
	}
	made[dir] = true
	mode := int64(0o755)
	if dir == "/tmp" {
		mode = 0o1777
	}
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: mode, ModTime: time.Unix(0, 0)})
}
