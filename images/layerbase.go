package images

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// layerBase is an image that the engine built, as far as a layer on it must know it.
type layerBase struct {
	Unfit   string                 `json:"unfit,omitempty"` // why no layer can be put on it, for people
	Into    []bool                 `json:"into"`            // of each COPY: whether its destination is a folder
	Matched [][]int                `json:"matched"`         // of each COPY: how many files each of its sources found; nil: none that a layer may replace
	Sources map[string]sourceFile  `json:"sources"`         // what a layer may replace, by path in the image
	Folders map[string]imageFolder `json:"folders"`         // those that stand above sources
	Others  []string               `json:"others"`          // what else is where sources go; sorted
}

// sourceFile is a source in an image.
type sourceFile struct {
	State  string `json:"state"` // contextFile's
	Folder bool   `json:"folder,omitempty"`
	Shared bool   `json:"shared,omitempty"` // a folder that not only a COPY made
}

type imageFolder struct {
	Mode int64 `json:"mode"`
	UID  int   `json:"uid"`
	GID  int   `json:"gid"`
}

// learnBase looks for the sources of a context in the image that was built of it. Each COPY must have made one layer,
// with exactly the files that it was expected to bring: that is the proof that the Dockerfile was understood.
func learnBase(plan layerPlan, t contextTree, carried func(string) bool, layers []string) (layerBase, error) {
	b := layerBase{Sources: map[string]sourceFile{}, Folders: map[string]imageFolder{}}
	var folders []string
	hashed := map[string]bool{}
	for _, c := range plan.copies {
		folders = append(folders, path.Clean(c.dest))
		for _, into := range []bool{false, true} {
			files, _, err := c.place(t, into)
			if err != nil {
				return b, err
			}
			for _, f := range files {
				hashed[f.to] = true
			}
		}
	}
	image, err := readImageFiles(layers, folders, hashed)
	if err != nil {
		return b, err
	}
	for _, c := range plan.copies {
		into := image.files[path.Clean(c.dest)].header.Typeflag == tar.TypeDir
		files, matched, err := c.place(t, into)
		if err != nil {
			return b, err
		}
		if !slices.ContainsFunc(files, func(f placed) bool { return carried(f.from) }) {
			matched = nil
		}
		b.Into, b.Matched = append(b.Into, into), append(b.Matched, matched)
		if matched == nil {
			continue
		}
		if err := cmp.Or(image.check(t, files), b.addSources(t, image, files, carried), b.addFolders(image, path.Clean(c.dest), into)); err != nil {
			b.Unfit = fmt.Sprintf("%s: %v", c.name, err)
			return b, nil
		}
	}
	b.addOthers(image)
	b.checkBytecode()
	return b, nil
}

// check compares what a COPY was expected to bring with what is in the image.
func (f imageFiles) check(t contextTree, files []placed) error {
	layer, count := -1, 0
	for _, p := range files {
		got, ok := f.files[p.to]
		h, want := got.header, t[p.from]
		switch {
		case !ok:
			return fmt.Errorf("%s is not in the image", p.to)
		case h.Uid != 0 || h.Gid != 0 || h.Mode&0o7777 != int64(want.mode()):
			return fmt.Errorf("%s has another mode or owner in the image", p.to)
		case want.folder != (h.Typeflag == tar.TypeDir) || !want.folder && (h.Typeflag != tar.TypeReg || got.hash != want.hash):
			return fmt.Errorf("%s is something else in the image", p.to)
		case want.folder:
			continue
		case got.layers > 1 || layer >= 0 && got.layer != layer:
			return fmt.Errorf("%s is in several layers of the image", p.to)
		}
		layer, count = got.layer, count+1
	}
	if layer >= 0 && f.count[layer] != count {
		return errors.New("it brought other files than those of the context")
	}
	return nil
}

func (b *layerBase) addSources(t contextTree, image imageFiles, files []placed, carried func(string) bool) error {
	for _, p := range files {
		if !carried(p.from) {
			continue
		}
		if _, twice := b.Sources[p.to]; twice {
			return fmt.Errorf("%s is written twice", p.to)
		}
		b.Sources[p.to] = sourceFile{State: t[p.from].state(), Folder: p.folder, Shared: p.folder && image.files[p.to].layers > 1}
	}
	return nil
}

// addFolders notes the folders above what a COPY brought. None may be a link: the files would be elsewhere.
func (b *layerBase) addFolders(image imageFiles, dest string, into bool) error {
	if !into {
		dest = path.Dir(dest)
	}
	for dir := dest; dir != "/"; dir = path.Dir(dir) {
		h := image.files[dir].header
		if h.Typeflag != tar.TypeDir {
			return fmt.Errorf("%s is no folder in the image", dir)
		}
		b.Folders[dir] = imageFolder{Mode: h.Mode & 0o7777, UID: h.Uid, GID: h.Gid}
	}
	return nil
}

func (b *layerBase) addOthers(image imageFiles) {
	for p := range image.files {
		_, source := b.Sources[p]
		_, folder := b.Folders[p]
		if !source && !folder && p != "/" {
			b.Others = append(b.Others, p)
		}
	}
	slices.Sort(b.Others)
}

// checkBytecode makes a base unfit that has bytecode of a source: a rebuild would compile it again.
func (b *layerBase) checkBytecode() {
	folders := map[string]bool{}
	for p := range maps.Keys(b.Sources) {
		folders[path.Dir(p)] = true
	}
	for _, p := range b.Others {
		if strings.HasSuffix(p, ".pyc") && (folders[path.Dir(p)] || path.Base(path.Dir(p)) == "__pycache__" && folders[path.Dir(path.Dir(p))]) {
			b.Unfit = p + " is bytecode of the sources"
		}
	}
}
