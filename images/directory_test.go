package images

import (
	"archive/tar"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// imageWith makes an image of layers, lowest first.
func imageWith(t *testing.T, config v1.Config, layers ...[]tar.Header) v1.Image {
	t.Helper()
	var all []v1.Layer
	for _, headers := range layers {
		l, err := streamLayer(func(w io.Writer) error {
			tw := tar.NewWriter(w)
			for _, h := range headers {
				text := h.Uname // the file's content
				h.Uname, h.Uid, h.Gid = "", os.Getuid(), os.Getgid()
				if h.Typeflag == tar.TypeReg {
					h.Size = int64(len(text))
				}
				if err := tw.WriteHeader(&h); err != nil {
					return err
				}
				if h.Typeflag == tar.TypeReg {
					if _, err := io.WriteString(tw, text); err != nil {
						return err
					}
				}
			}
			return tw.Close()
		})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, l)
	}
	img, err := assemble(v1.Platform{OS: "linux", Architecture: "amd64"}, config, all...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func regular(name, text string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Uname: text}
}

func folder(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}
}

func link(kind byte, name, to string) tar.Header {
	return tar.Header{Typeflag: kind, Name: name, Linkname: to, Mode: 0o777}
}

var inApp = v1.Config{WorkingDir: "/srv/app"}

// listing returns what lies in a folder: of files the text, of links "-> target", of folders "/".
func listing(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		name, _ := filepath.Rel(dir, p)
		switch {
		case e.IsDir():
			out[name] = "/"
		case e.Type() == fs.ModeSymlink:
			to, err := os.Readlink(p)
			out[name] = "-> " + to
			return err
		default:
			b, err := os.ReadFile(p)
			out[name] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// write writes an image's working directory into a folder, over what an earlier image left.
func write(t *testing.T, dir string, img v1.Image, have map[string]string, kept ...string) map[string]string {
	t.Helper()
	d, err := new(DirectoryReader).Read(img)
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := d.Write(root, have, kept...); err != nil {
		t.Fatal(err)
	}
	sources, err := d.Sources()
	if err != nil {
		t.Fatal(err)
	}
	return sources
}

func TestDirectoryIsWhatTheLayersMake(t *testing.T) {
	t.Parallel()
	base := []tar.Header{folder("srv/"), folder("srv/app/"), regular("srv/app/main.py", "1"), regular("srv/app/old.py", "old"),
		folder("srv/app/data/"), regular("srv/app/data/a.csv", "a"), regular("srv/app/data/b.csv", "b"),
		folder("srv/app/lib/"), regular("srv/app/lib/x.py", "x"), regular("srv/other", "no"), regular("srv/application/x", "no")}
	over := []tar.Header{regular("./srv/app/main.py", "2"), regular("srv/app/.wh.old.py", ""),
		regular("srv/app/data/.wh..wh..opq", ""), regular("srv/app/data/c.csv", "c"),
		regular("srv/app/lib", "a file now"), link(tar.TypeSymlink, "srv/app/service", "/srv/app/main.py"),
		regular("srv/app/tool", "tool"), link(tar.TypeLink, "srv/app/again", "srv/app/tool"), regular("srv/app/deep/er/x", "made with its folders")}
	dir := t.TempDir()
	have := write(t, dir, imageWith(t, inApp, base, over), nil, "etcd")
	want := map[string]string{"main.py": "2", "data": "/", "data/c.csv": "c", "lib": "a file now", "service": "-> /srv/app/main.py",
		"tool": "tool", "again": "tool", "deep": "/", "deep/er": "/", "deep/er/x": "made with its folders", "etcd": "/"}
	if got := listing(t, dir); !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}

	// A container that has the folder mounted made something in a folder that stays.
	if err := os.WriteFile(filepath.Join(dir, "left over"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, dir, imageWith(t, inApp, base), have, "etcd")
	want = map[string]string{"main.py": "1", "old.py": "old", "data": "/", "data/a.csv": "a", "data/b.csv": "b", "lib": "/", "lib/x.py": "x", "etcd": "/"}
	if got := listing(t, dir); !maps.Equal(got, want) {
		t.Errorf("after another image: got  %v\nwant %v", got, want)
	}
}

func TestDirectoryWriteLeavesOpenFilesAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	same := []tar.Header{regular("srv/app/data.csv", "data")}
	have := write(t, dir, imageWith(t, inApp, same, []tar.Header{regular("srv/app/run", "old")}), nil)
	running, err := os.Open(filepath.Join(dir, "run"))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	data, err := os.Stat(filepath.Join(dir, "data.csv"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, imageWith(t, inApp, same, []tar.Header{regular("srv/app/run", "new")}), have)
	if b, err := io.ReadAll(running); err != nil || string(b) != "old" {
		t.Errorf("the file that was open holds %q, %v", b, err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "run")); err != nil || string(b) != "new" {
		t.Errorf("the file now holds %q, %v", b, err)
	}
	if now, err := os.Stat(filepath.Join(dir, "data.csv")); err != nil || !os.SameFile(data, now) {
		t.Errorf("a file of a layer that stayed was written again: %v", err)
	}
}

func TestDirectoryWriteFollowsNoLinks(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	dir := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "sub")); err != nil {
		t.Fatal(err)
	}
	write(t, dir, imageWith(t, inApp, []tar.Header{regular("srv/app/sub/x", "x")}), nil)
	if got := listing(t, outside); len(got) > 0 {
		t.Errorf("written through a link: %v", got)
	}
	if got := listing(t, dir)["sub/x"]; got != "x" {
		t.Errorf("in the folder: %q", got)
	}
}

func TestDirectoryThatCantStandByItself(t *testing.T) {
	t.Parallel()
	for name, img := range map[string]v1.Image{
		"no working directory":   imageWith(t, v1.Config{}, []tar.Header{regular("app", "")}),
		"below a link":           imageWith(t, inApp, []tar.Header{link(tar.TypeSymlink, "srv", "/elsewhere")}),
		"a file":                 imageWith(t, inApp, []tar.Header{regular("srv/app", "")}),
		"a link into the image":  imageWith(t, inApp, []tar.Header{regular("etc/x", "x"), link(tar.TypeLink, "srv/app/x", "etc/x")}),
		"a file through a link":  imageWith(t, inApp, []tar.Header{link(tar.TypeSymlink, "srv/app/a", "/etc")}, []tar.Header{regular("srv/app/a/x", "x")}),
		"a device, or what else": imageWith(t, inApp, []tar.Header{{Typeflag: tar.TypeFifo, Name: "srv/app/pipe"}}),
	} {
		if _, err := new(DirectoryReader).Read(img); !errors.Is(err, ErrNoDirectory) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// Outside must change with all that a mount of the folder doesn't bring.
func TestDirectoryOutside(t *testing.T) {
	t.Parallel()
	var reader DirectoryReader
	outside := func(img v1.Image) string {
		t.Helper()
		d, err := reader.Read(img)
		if err != nil {
			t.Fatal(err)
		}
		return d.Outside
	}
	app, tmp := []tar.Header{folder("srv/"), folder("tmp/"), regular("srv/app/run", "1")}, []tar.Header{regular("usr/lib/x", "1")}
	first := outside(imageWith(t, inApp, app, tmp))
	for name, img := range map[string]v1.Image{
		"another file in the folder": imageWith(t, inApp, []tar.Header{folder("srv/"), folder("tmp/"), regular("srv/app/run", "2")}, tmp),
		"a layer more for it":        imageWith(t, inApp, app, tmp, []tar.Header{folder("srv/"), regular("srv/app/y", "2"), regular("srv/app/.wh.run", "")}),
	} {
		if outside(img) != first {
			t.Errorf("%s: told apart", name)
		}
	}
	other := inApp
	other.Cmd = []string{"other"}
	for name, img := range map[string]v1.Image{
		"another command":        imageWith(t, other, app, tmp),
		"another file elsewhere": imageWith(t, inApp, app, []tar.Header{regular("usr/lib/x", "2")}),
		"a file gone elsewhere":  imageWith(t, inApp, app, tmp, []tar.Header{regular("usr/lib/.wh.x", "")}),
		"a folder elsewhere":     imageWith(t, inApp, app, tmp, []tar.Header{folder("opt/")}),
	} {
		if outside(img) == first {
			t.Errorf("%s: not told apart", name)
		}
	}
}
