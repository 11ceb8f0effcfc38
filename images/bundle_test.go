package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/zstd"
)

// imageStore stands in for an engine that gives out and takes in archives of images. It reads them with another
// library than the one that writes them.
type imageStore struct {
	t      *testing.T
	mu     sync.Mutex
	images map[string]v1.Image // by name, and by the digest of the configuration
	loads  int
	broken string // an error that a load ends with
}

func (e *imageStore) add(ref string) string {
	img, err := random.Image(5000, 3)
	if err != nil {
		e.t.Fatal(err)
	}
	e.images[ref] = img
	id, err := img.ConfigName()
	if err != nil {
		e.t.Fatal(err)
	}
	e.images[id.String()] = img
	return id.String()
}

func (e *imageStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // without the API's version
	ref := strings.TrimSuffix(strings.TrimPrefix(path, "images/"), "/json")
	img := e.images[ref]
	switch {
	case path == "images/get":
		tarball.Write(name.MustParseReference("any/name:1"), e.images[r.URL.Query().Get("names")], w) //nolint:errcheck // the client sees it
	case path == "images/load":
		e.load(w, r)
	case img == nil:
		w.WriteHeader(http.StatusNotFound)
		answer(w, map[string]string{"message": "no such image"})
	default:
		cf, err := img.ConfigFile()
		if err != nil {
			e.t.Error(err)
		}
		layers := []string{}
		for _, d := range cf.RootFS.DiffIDs {
			layers = append(layers, d.String())
		}
		id, _ := img.ConfigName()
		answer(w, map[string]any{"Id": id.String(), "Os": cf.OS, "Architecture": cf.Architecture, "Config": map[string]any{}, "RootFS": map[string]any{"Type": "layers", "Layers": layers}})
	}
}

func (e *imageStore) load(w http.ResponseWriter, r *http.Request) {
	e.loads++
	archive, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client broke it off
	}
	if e.broken != "" {
		answer(w, map[string]string{"error": e.broken})
		return
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive)), nil }
	table, err := tarball.LoadManifest(opener)
	if err != nil {
		answer(w, map[string]string{"error": err.Error()})
		return
	}
	for _, d := range table {
		for _, tag := range d.RepoTags {
			at, err := name.NewTag(tag)
			if err != nil {
				e.t.Error(err)
			}
			img, err := tarball.Image(opener, &at)
			if err != nil {
				answer(w, map[string]string{"error": err.Error()})
				return
			}
			id, _ := img.ConfigName()
			e.images[tag], e.images[id.String()] = img, img
		}
	}
}

func newImageStore(t *testing.T) (*imageStore, client.APIClient) {
	t.Helper()
	e := &imageStore{t: t, images: map[string]v1.Image{}}
	return e, engineClient(t, e)
}

// The images of the tests' bundle, and a file of each kind.
var (
	testRefs  = []string{"example.invalid/node:v1.37.2", "rabbitmq:3-management"}
	testFiles = map[string]string{
		"go/modules/example.org/a/@v/v1.0.0.zip": "a module", "go/modules/example.org/a/@v/v1.0.0.mod": "module a",
		"go/modules/example.org/b/@v/v1.0.0.mod": "module a", // the same content twice
		"go/bundled/0123/agent":                  "a binary", "python/wheel-0123/lib.whl": "a wheel",
	}
)

// testBundle writes a bundle to a file.
func testBundle(t *testing.T, change func(*Bundle)) string {
	t.Helper()
	e, docker := newImageStore(t)
	p, err := NewPacker(t.Context(), docker, t.TempDir(), "v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, ref := range testRefs {
		if err := p.AddImage(t.Context(), BundleImage{Role: RoleNode, Name: ref, Ref: ref}, e.add(ref)); err != nil {
			t.Fatal(err)
		}
	}
	for path, content := range testFiles {
		source := filepath.Join(t.TempDir(), "source")
		writeAt(t, source, content)
		if err := p.AddFile(BundleFile{Role: RoleModules, Path: path, Executable: strings.Contains(path, "bundled")}, source); err != nil {
			t.Fatal(err)
		}
	}
	if change != nil {
		change(&p.bundle)
	}
	file := filepath.Join(t.TempDir(), "test.bundle")
	if err := p.Write(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	return file
}

func loadFile(t *testing.T, docker client.APIClient, cache, file string) (BundleLoaded, error) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return LoadBundle(t.Context(), docker, cache, f)
}

// What was packed on one machine is on another after loading; loading again changes nothing there.
func TestBundleGoesThere(t *testing.T) {
	t.Parallel()
	file := testBundle(t, nil)
	e, docker := newImageStore(t)
	cache := t.TempDir()
	got, err := loadFile(t, docker, cache, file)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(testRefs) + len(testFiles); len(got.Loaded) != want || got.Stood != 0 {
		t.Errorf("loaded %q, %d stood; want %d new ones", got.Loaded, got.Stood, want)
	}
	for _, ref := range testRefs {
		if e.images[ref] == nil {
			t.Errorf("the engine has no %s", ref)
		}
	}
	for path, content := range testFiles {
		if b, err := os.ReadFile(filepath.Join(cache, path)); err != nil || string(b) != content {
			t.Errorf("%s: %q, error %v", path, b, err)
		}
	}
	if info, err := os.Stat(filepath.Join(cache, "go/bundled/0123/agent")); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("a binary that can't be run: %v, %v", info, err)
	}
	if again, err := loadFile(t, docker, cache, file); err != nil || len(again.Loaded) != 0 || e.loads != 1 {
		t.Errorf("again: loaded %q in %d loads, error %v", again.Loaded, e.loads, err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "bundle-[0-9]*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestBundleSaysWhatItHolds(t *testing.T) {
	t.Parallel()
	f, err := os.Open(testBundle(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := InspectBundle(f)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := b.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if b.Kubernetes != "v1.37.2" || b.Platform != thisPlatform() || !strings.Contains(text.String(), testRefs[1]) || !strings.Contains(text.String(), "(5 files)") {
		t.Errorf("it says %s", &text)
	}
}

// A bundle that is damaged anywhere, or not for this machine, is refused with the place, and nothing of it stays.
func TestBundleIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*Bundle)                   // of the manifest
		damage func(t *testing.T, file string) // of the file
		want   string
		is     error
	}{
		"a newer format":        {change: func(b *Bundle) { b.Format++ }, is: ErrBundleFormat},
		"another platform":      {change: func(b *Bundle) { b.Platform = "linux/pdp11" }, want: "linux/pdp11, and this machine is linux/" + runtime.GOARCH, is: ErrBundlePlatform},
		"no bundle":             {damage: func(t *testing.T, file string) { writeAt(t, file, "hello") }, is: ErrNoBundle},
		"another archive":       {damage: foreignArchive, is: ErrNoBundle},
		"nothing":               {damage: func(t *testing.T, file string) { writeAt(t, file, "") }, is: ErrNoBundle},
		"cut short":             {damage: cut, want: bundleBlobs},
		"without its end":       {damage: cutEnd, want: "unexpected EOF"},
		"a changed layer":       {damage: flip(1), want: "layer 1 of " + testRefs[0] + "): its content is sha256:"},
		"a changed last file":   {damage: flip(-1), want: "): its content is sha256:"},
		"a blob is left out":    {change: func(b *Bundle) { b.Blobs = b.Blobs[1:] }, want: "is missing from the bundle"},
		"a file elsewhere":      {change: func(b *Bundle) { b.Files[0].Path = "go/modules/../../../etc/passwd" }, want: "a file has no business at"},
		"a file somewhere else": {change: func(b *Bundle) { b.Files[0].Path = "layers/x.tar" }, want: "a file has no business at"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := testBundle(t, tc.change)
			if tc.damage != nil {
				tc.damage(t, file)
			}
			e, docker := newImageStore(t)
			cache := t.TempDir()
			_, err := loadFile(t, docker, cache, file)
			if err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error %v, want %q %v", err, tc.want, tc.is)
			}
			if len(e.images) > 0 {
				t.Errorf("the engine has %d names", len(e.images))
			}
			for path := range testFiles {
				if exists(filepath.Join(cache, path)) {
					t.Errorf("%s is in the cache", path)
				}
			}
		})
	}
}

// What the engine says of a load that it couldn't do is told, and no file of the bundle is placed.
func TestBundleEngineFails(t *testing.T) {
	t.Parallel()
	e, docker := newImageStore(t)
	e.broken = "no space left on device"
	cache := t.TempDir()
	if _, err := loadFile(t, docker, cache, testBundle(t, nil)); err == nil || !strings.Contains(err.Error(), e.broken) {
		t.Errorf("got error %v", err)
	}
	if exists(filepath.Join(cache, "go")) {
		t.Error("files are in the cache")
	}
}

// A write that is broken off leaves neither a bundle nor a part of one, and an older bundle as it was.
func TestBundleIsWrittenWholeOrNot(t *testing.T) {
	t.Parallel()
	_, docker := newImageStore(t)
	p, err := NewPacker(t.Context(), docker, t.TempDir(), "v1.37.2")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dir := t.TempDir()
	source, file := filepath.Join(dir, "source"), filepath.Join(dir, "test.bundle")
	writeAt(t, source, "content")
	writeAt(t, file, "an older one")
	if err := p.AddFile(BundleFile{Path: "go/modules/a"}, source); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(source); err != nil {
		t.Fatal(err)
	}
	if err := p.Write(t.Context(), file); err == nil {
		t.Error("it was written without one of its files")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left: %v, error %v", entries, err)
	}
	if b, _ := os.ReadFile(file); string(b) != "an older one" {
		t.Errorf("the older bundle is %q", b)
	}
}

// cut leaves of a bundle's archive a part that ends within a blob.
func cut(t *testing.T, file string) {
	t.Helper()
	rewrite(t, file, func(raw []byte) []byte { return raw[:len(raw)*2/3] })
}

// cutEnd takes the compression's checksum away.
func cutEnd(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	writeAt(t, file, string(b[:len(b)-2]))
}

// rewrite changes a bundle's archive, under a compression that is whole.
func rewrite(t *testing.T, file string, change func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zr, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer zr.Close()
	raw, err := zr.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	zw, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	writeAt(t, file, string(zw.EncodeAll(change(raw), nil)))
}

// flip changes one byte of a blob; -1 is the last one.
func flip(blob int) func(*testing.T, string) {
	return func(t *testing.T, file string) {
		t.Helper()
		rewrite(t, file, func(raw []byte) []byte {
			var starts []int
			r := bytes.NewReader(raw)
			tr := tar.NewReader(r)
			for {
				h, err := tr.Next()
				if err != nil {
					break
				}
				if strings.HasPrefix(h.Name, bundleBlobs) {
					starts = append(starts, len(raw)-r.Len())
				}
			}
			raw[starts[(blob+len(starts))%len(starts)]] ^= 1
			return raw
		})
	}
}

// foreignArchive makes a file an archive of something else.
func foreignArchive(t *testing.T, file string) {
	t.Helper()
	rewrite(t, file, func([]byte) []byte {
		var b bytes.Buffer
		tw := tar.NewWriter(&b)
		raw, err := json.Marshal("layout")
		if err != nil {
			t.Fatal(err)
		}
		if err := putEntry(tw, "oci-layout", int64(len(raw)), bytes.NewReader(raw)); err != nil {
			t.Fatal(err)
		}
		tw.Close()
		return b.Bytes()
	})
}
