package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
)

// errChanging is returned for a file that is not what it was when the context was looked through.
var errChanging = errors.New("it was changed while it was read")

// layerDiff is what a layer on a base brings and removes.
type layerDiff struct {
	folders map[string]imageFolder // on the way to the others
	files   map[string]contextFile // new and changed ones, by path in the image
	removed []string
}

// diff compares the sources of a context with those in the base. An error says, for people, why a layer can't make of
// the base what a build would.
func (b layerBase) diff(plan layerPlan, t contextTree, carried func(string) bool) (layerDiff, error) {
	d := layerDiff{folders: map[string]imageFolder{}, files: map[string]contextFile{}}
	if b.Unfit != "" {
		return d, errors.New(b.Unfit)
	}
	if len(plan.copies) != len(b.Into) {
		return d, errors.New("the Dockerfile has other COPYs")
	}
	now := map[string]bool{}
	for i, c := range plan.copies {
		files, matched, err := c.place(t, b.Into[i])
		if err != nil {
			return d, err
		}
		files = slices.DeleteFunc(files, func(f placed) bool { return !carried(f.from) })
		if len(files) == 0 && b.Matched[i] == nil {
			continue
		}
		if !slices.EqualFunc(matched, b.Matched[i], func(a, b int) bool { return (a == 0) == (b == 0) }) {
			return d, fmt.Errorf("%s: a pattern finds its first file, or none any more", c.name)
		}
		for _, f := range files {
			if now[f.to] {
				return d, fmt.Errorf("%s: %s is written twice", c.name, f.to)
			}
			now[f.to] = true
			if err := b.add(&d, f, t[f.from]); err != nil {
				return d, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return d, b.remove(&d, now)
}

// add takes in one file of the context.
func (b layerBase) add(d *layerDiff, f placed, file contextFile) error {
	old, known := b.Sources[f.to]
	switch {
	case known && old.State == file.state():
		return nil
	case known && old.Folder != f.folder:
		return fmt.Errorf("%s is no longer what it was, a file or a folder", f.to)
	case strings.HasPrefix(path.Base(f.to), whiteout):
		return fmt.Errorf("%s has a name that means something in a layer", f.to)
	}
	_, folder := b.Folders[f.to]
	if _, other := slices.BinarySearch(b.Others, f.to); !known && (other || folder) {
		return fmt.Errorf("something else put %s into the image", f.to)
	}
	if f.folder {
		d.folders[f.to] = imageFolder{Mode: int64(file.mode())}
	} else {
		d.files[f.to] = file
	}
	b.above(d, f.to)
	return nil
}

// above adds the folders that a path lies in, as they are.
func (b layerBase) above(d *layerDiff, p string) {
	for dir := path.Dir(p); dir != "/"; dir = path.Dir(dir) {
		if known, ok := b.Folders[dir]; ok {
			d.folders[dir] = known
		} else {
			d.folders[dir] = imageFolder{Mode: 0o755} // a folder of the context
		}
	}
}

// remove finds what is no longer in the context: of a folder that is gone, the folder alone.
func (b layerBase) remove(d *layerDiff, now map[string]bool) error {
	gone := map[string]bool{}
	for _, p := range slices.Sorted(maps.Keys(b.Sources)) {
		if now[p] {
			continue
		}
		if b.Sources[p].Shared || b.Sources[p].Folder && slices.ContainsFunc(b.Others, func(other string) bool { return within(other, p) }) {
			return fmt.Errorf("%s is gone, but not only sources were in it", p)
		}
		if gone[p] = true; gone[path.Dir(p)] {
			continue
		}
		d.removed = append(d.removed, p)
		b.above(d, p)
	}
	return nil
}

func (d layerDiff) empty() bool { return len(d.files)+len(d.folders)+len(d.removed) == 0 }

// write writes the layer: the same bytes for the same difference.
func (d layerDiff) write(w io.Writer) error {
	tw := tar.NewWriter(w)
	entries := map[string]bool{}
	for _, p := range d.removed {
		entries[path.Join(path.Dir(p), whiteout+path.Base(p))] = true
	}
	for p := range d.folders {
		entries[p] = true
	}
	for p := range d.files {
		entries[p] = true
	}
	for _, p := range slices.Sorted(maps.Keys(entries)) {
		if err := d.writeEntry(tw, p); err != nil {
			return fmt.Errorf("write %s: %w", p, err)
		}
	}
	return tw.Close()
}

func (d layerDiff) writeEntry(tw *tar.Writer, p string) error {
	h := tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(p, "/"), Mode: 0o644, ModTime: contextTime}
	if folder, ok := d.folders[p]; ok {
		h.Typeflag, h.Name, h.Mode, h.Uid, h.Gid = tar.TypeDir, h.Name+"/", folder.Mode, folder.UID, folder.GID
		return tw.WriteHeader(&h)
	}
	file, ok := d.files[p]
	if !ok {
		return tw.WriteHeader(&h) // a whiteout
	}
	r, err := file.open()
	if err != nil {
		return err
	}
	defer r.Close()
	h.Size, h.Mode = file.size, int64(file.mode())
	if err := tw.WriteHeader(&h); err != nil {
		return err
	}
	sum := newHasher()
	if _, err := io.Copy(io.MultiWriter(tw, sum), io.LimitReader(r, h.Size)); err != nil {
		return err
	}
	if sum.hash().Hex != file.hash {
		return errChanging
	}
	return nil
}
