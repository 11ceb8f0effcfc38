package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// imageFile is what a path of an image is, and which of its layers put it there.
type imageFile struct {
	header tar.Header
	hash   string // of a regular file that was asked for
	layer  int    // the uppermost that has it
	layers int    // how many have it, whiteouts included
}

// imageFiles is a part of an image's file system, by absolute path: what lies in some folders, and the folders that
// these lie in.
type imageFiles struct {
	files map[string]imageFile
	count []int // of what is no folder, by layer: all of it
}

const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

// readImageFiles reads an image's layers, lowest first. hashed are the files whose digests are wanted.
func readImageFiles(layers []string, folders []string, hashed map[string]bool) (imageFiles, error) {
	f := imageFiles{files: map[string]imageFile{}}
	for _, archive := range layers {
		if err := f.addLayer(archive, folders, hashed); err != nil {
			return f, fmt.Errorf("read layer %s: %w", path.Base(archive), err)
		}
	}
	return f, nil
}

func (f *imageFiles) addLayer(archive string, folders []string, hashed map[string]bool) error {
	r, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer r.Close()
	layer := len(f.count)
	f.count = append(f.count, 0)
	removed := map[string]bool{} // by this layer; what it has itself stays, whichever comes first
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		p := path.Clean("/" + h.Name)
		if h.Typeflag != tar.TypeDir {
			f.count[layer]++
		}
		if !slices.ContainsFunc(folders, func(dir string) bool { return within(p, dir) || dir == "/" || within(dir, p) || p == "/" }) {
			continue
		}
		if name, ok := strings.CutPrefix(path.Base(p), whiteout); ok {
			if path.Base(p) == opaque {
				removed[path.Dir(p)+"/"] = true
			} else {
				removed[path.Join(path.Dir(p), name)] = true
			}
			continue
		}
		file := imageFile{header: *h, layer: layer, layers: f.files[p].layers + 1}
		if hashed[p] && h.Typeflag == tar.TypeReg {
			sum := newHasher()
			if _, err := io.Copy(sum, tr); err != nil {
				return err
			}
			file.hash = sum.hash().Hex
		}
		if old, ok := f.files[p]; ok && old.header.Typeflag == tar.TypeDir && h.Typeflag != tar.TypeDir {
			removed[p+"/"] = true
		}
		f.files[p] = file
	}
	f.remove(removed, layer)
	return nil
}

// remove carries out a layer's whiteouts: of a path, or of what is below one that ends with a slash. What the layer
// itself brings stays.
func (f *imageFiles) remove(removed map[string]bool, layer int) {
	if len(removed) == 0 {
		return
	}
	for p, file := range f.files {
		if file.layer == layer {
			continue
		}
		for at := p; ; at = path.Dir(at) {
			if removed[at] || at != p && removed[at+"/"] {
				delete(f.files, p)
			}
			if at == "/" {
				break
			}
		}
	}
}
