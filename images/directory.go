package images

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Directory is an image's working directory, with what the image's layers put into it.
type Directory struct {
	Path string // absolute

	// Outside tells apart all that isn't in the folder, the image's configuration included: of two images with the same
	// one, the folder is all that differs.
	Outside string

	layers []v1.Layer
	files  map[string]imageFile // by absolute path; the folder itself is one
}

// ErrNoDirectory is the error of an image whose working directory can't stand by itself.
var ErrNoDirectory = errors.New("its working directory can't be had by itself")

// DirectoryReader reads working directories of images. It remembers which files the layers have, so that of an image with
// one new layer just that is read. Its zero value is ready for use.
type DirectoryReader struct {
	mu    sync.Mutex
	known map[string]layerPart // by folder and layer
}

// keptParts is how many layers are remembered: far above what a workspace's images have.
const keptParts = 1000

// layerPart is what a layer has of a folder.
type layerPart struct {
	inside  []tar.Header    // in the folder, or it
	removed map[string]bool // what its whiteouts take away, as imageFiles.remove takes it
	outside string          // tells apart what it has elsewhere; empty: nothing
}

// Read reads the working directory of an image. The image's layers must stay readable for as long as it is used.
func (r *DirectoryReader) Read(img v1.Image) (*Directory, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	d := &Directory{Path: path.Clean("/" + config.Config.WorkingDir), layers: layers}
	if d.Path == "/" {
		return nil, fmt.Errorf("%w: it has none", ErrNoDirectory)
	}
	settings, err := json.Marshal([]any{config.OS, config.Architecture, config.Variant, config.Config})
	if err != nil {
		return nil, err
	}
	outside := string(settings)
	all := imageFiles{files: map[string]imageFile{}}
	for i, l := range layers {
		part, err := r.part(l, d.Path)
		if err != nil {
			return nil, err
		}
		for _, h := range part.inside {
			p := path.Clean("/" + h.Name)
			if old, ok := all.files[p]; ok && old.header.Typeflag == tar.TypeDir && h.Typeflag != tar.TypeDir {
				all.remove(map[string]bool{p + "/": true}, i)
			}
			all.files[p] = imageFile{header: h, layer: i}
		}
		all.remove(part.removed, i)
		if part.outside != "" {
			outside += "\n" + part.outside
		}
	}
	d.files, d.Outside = all.files, textHash(outside)
	return d, d.check()
}

// check returns an error unless every file can be written below the folder alone.
func (d *Directory) check() error {
	for p, f := range d.files {
		switch h := f.header; h.Typeflag {
		case tar.TypeReg, tar.TypeSymlink:
		case tar.TypeDir:
			continue
		case tar.TypeLink:
			if to, ok := d.files[path.Clean("/"+h.Linkname)]; !ok || to.header.Typeflag != tar.TypeReg || to.layer != f.layer {
				return fmt.Errorf("%w: %s is a link to %s", ErrNoDirectory, p, h.Linkname)
			}
		default:
			return fmt.Errorf("%w: %s is no ordinary file", ErrNoDirectory, p)
		}
		if p == d.Path {
			return fmt.Errorf("%w: %s is no folder", ErrNoDirectory, p)
		}
		for above := path.Dir(p); above != d.Path; above = path.Dir(above) {
			if a, ok := d.files[above]; ok && a.header.Typeflag != tar.TypeDir {
				return fmt.Errorf("%w: %s is no folder", ErrNoDirectory, above)
			}
		}
	}
	return nil
}

// Sources says which layer each file came with, by its path below the folder: as long as that stays, so does the file.
func (d *Directory) Sources() (map[string]string, error) {
	digests := make([]string, len(d.layers))
	for i, l := range d.layers {
		id, err := l.DiffID()
		if err != nil {
			return nil, fmt.Errorf("read layer: %w", err)
		}
		digests[i] = id.String()
	}
	out := map[string]string{}
	for p, f := range d.files {
		if f.header.Typeflag != tar.TypeDir {
			out[d.relative(p)] = digests[f.layer]
		}
	}
	return out, nil
}

// relative is a path of the image below the folder; "." is the folder itself.
func (d *Directory) relative(p string) string {
	if p == d.Path {
		return "."
	}
	return strings.TrimPrefix(p, d.Path+"/")
}

// part reads what a layer has of a folder, unless that is known.
func (r *DirectoryReader) part(l v1.Layer, dir string) (layerPart, error) {
	id, err := l.DiffID()
	if err != nil {
		return layerPart{}, fmt.Errorf("read layer: %w", err)
	}
	key := dir + " " + id.String()
	r.mu.Lock()
	part, ok := r.known[key]
	r.mu.Unlock()
	if ok {
		return part, nil
	}
	if part, err = readPart(l, id, dir); err != nil {
		return part, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= keptParts {
		r.known = map[string]layerPart{}
	}
	r.known[key] = part
	return part, nil
}

func readPart(l v1.Layer, id v1.Hash, dir string) (layerPart, error) {
	part := layerPart{removed: map[string]bool{}}
	var elsewhere []string
	content := false
	err := readLayer(l, func(h *tar.Header, _ io.Reader) error {
		p := path.Clean("/" + h.Name)
		if name, ok := strings.CutPrefix(path.Base(p), whiteout); ok {
			gone := path.Join(path.Dir(p), name)
			if path.Base(p) == opaque {
				gone = path.Dir(p) + "/"
			}
			part.removed[gone] = true
			if !within(p, dir) {
				elsewhere = append(elsewhere, p)
			}
			return nil
		}
		switch {
		case within(p, dir):
			part.inside = append(part.inside, *h)
		case p == "/" || within(dir, p):
			if h.Typeflag != tar.TypeDir {
				return fmt.Errorf("%w: %s is no folder", ErrNoDirectory, p)
			}
		default:
			elsewhere = append(elsewhere, fmt.Sprintf("%q %c %o %d:%d %d %q", p, h.Typeflag, h.Mode, h.Uid, h.Gid, h.Size, h.Linkname))
			content = content || h.Size > 0 || h.Typeflag == tar.TypeLink
		}
		return nil
	})
	if content {
		elsewhere = append(elsewhere, id.String())
	}
	if len(elsewhere) > 0 {
		slices.Sort(elsewhere)
		part.outside = textHash(strings.Join(elsewhere, "\n"))
	}
	return part, err
}

// readLayer calls each for everything in a layer's archive. Of a layer that lies in a file, the content that nobody reads
// is skipped.
func readLayer(l v1.Layer, each func(*tar.Header, io.Reader) error) error {
	r, err := l.Uncompressed()
	if err != nil {
		return fmt.Errorf("read layer: %w", err)
	}
	defer r.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read layer: %w", err)
		}
		if err := each(h, tr); err != nil {
			return err
		}
	}
}
