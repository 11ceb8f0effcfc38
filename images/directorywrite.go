package images

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Write makes a folder of this machine what the image has in its working directory. Whoever looks at it meanwhile sees
// each file as it was or as it is now, whole; one that is being run stays what it was for its process. have is what an
// earlier Write left, as [Directory.Sources] tells it: those files stay. kept are folders that the image need not have
// and that stay all the same. Nothing outside root is touched, wherever links lead.
//
// Owners are the image's only where this process may give files away; else they are this user's.
func (d *Directory) Write(root *os.Root, have map[string]string, kept ...string) error {
	want, err := d.Sources()
	if err != nil {
		return err
	}
	folders := d.folders(kept)
	if err := makeFolders(root, folders); err != nil {
		return err
	}
	for i, l := range d.layers {
		fresh := map[string]bool{} // of this layer, by path below the folder
		for p, f := range d.files {
			name := d.relative(p)
			if f.layer != i || f.header.Typeflag == tar.TypeDir {
				continue
			}
			info, err := root.Lstat(name)
			stands := err == nil && info.Mode().Type() == f.header.FileInfo().Mode().Type()
			if !stands || have[name] != want[name] {
				fresh[name] = true
			}
		}
		if err := d.writeLayer(root, l, fresh); err != nil {
			return err
		}
	}
	return removeOthers(root, func(name string) bool {
		_, file := want[name]
		_, folder := folders[name]
		return file || folder
	})
}

// folders are those of the folder, it itself among them, by path below it.
func (d *Directory) folders(kept []string) map[string]tar.Header {
	plain := tar.Header{Mode: 0o755}
	all := map[string]tar.Header{".": plain}
	add := func(name string) {
		for ; name != "."; name = path.Dir(name) {
			all[name] = plain
		}
	}
	for _, name := range kept {
		add(name)
	}
	for p := range d.files {
		add(path.Dir(d.relative(p)))
	}
	for p, f := range d.files {
		if f.header.Typeflag == tar.TypeDir {
			all[d.relative(p)] = f.header
		}
	}
	return all
}

func makeFolders(root *os.Root, all map[string]tar.Header) error {
	for _, name := range slices.Sorted(maps.Keys(all)) { // those above come first
		if info, err := root.Lstat(name); err == nil && !info.IsDir() {
			if err := root.Remove(name); err != nil {
				return err
			}
		}
		if err := root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make folder: %w", err)
		}
		if err := dress(root, name, all[name]); err != nil {
			return err
		}
	}
	return nil
}

// partName is a file's until it is whole.
const partName = ".dynsandbox-part"

// writeLayer writes files of one layer.
func (d *Directory) writeLayer(root *os.Root, l v1.Layer, fresh map[string]bool) error {
	if len(fresh) == 0 {
		return nil
	}
	var links []tar.Header // to files of the same layer, which may come later
	err := readLayer(l, func(h *tar.Header, content io.Reader) error {
		name := d.relative(path.Clean("/" + h.Name))
		switch {
		case !fresh[name]:
			return nil
		case h.Typeflag == tar.TypeLink:
			links = append(links, *h)
			return nil
		}
		return writeEntry(root, name, *h, content)
	})
	if err != nil {
		return err
	}
	for _, h := range links {
		if err := replace(root, d.relative(path.Clean("/"+h.Name)), func(part string) error {
			return root.Link(d.relative(path.Clean("/"+h.Linkname)), part)
		}); err != nil {
			return err
		}
	}
	return nil
}

func writeEntry(root *os.Root, name string, h tar.Header, content io.Reader) error {
	return replace(root, name, func(part string) error {
		if h.Typeflag == tar.TypeSymlink {
			return root.Symlink(h.Linkname, part)
		}
		f, err := root.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		return dress(root, part, h)
	})
}

// replace makes a file aside and puts it into its place.
func replace(root *os.Root, name string, make func(part string) error) error {
	part := path.Join(path.Dir(name), partName)
	if err := root.RemoveAll(part); err != nil { // of a process that was killed
		return err
	}
	if err := make(part); err != nil {
		return fmt.Errorf("write %s: %w", name, errors.Join(err, root.RemoveAll(part)))
	}
	if info, err := root.Lstat(name); err == nil && info.IsDir() {
		if err := root.RemoveAll(name); err != nil {
			return err
		}
	}
	if err := root.Rename(part, name); err != nil {
		return err
	}
	return root.RemoveAll(part) // a second link to the file that stood there stays beside it
}

// dress gives a file or folder the mode, the owner and, to a file, the time that it has in the image: bytecode is only
// used with the time of its source.
func dress(root *os.Root, name string, h tar.Header) error {
	if os.Geteuid() == 0 {
		if err := root.Chown(name, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	if err := root.Chmod(name, h.FileInfo().Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeReg {
		return root.Chtimes(name, h.ModTime, h.ModTime)
	}
	return nil
}

// removeOthers removes what isn't wanted.
func removeOthers(root *os.Root, wanted func(name string) bool) error {
	return fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if wanted(name) {
			return nil
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
}
