package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// textLayer is a layer whose content is text. The loader doesn't look into layers.
func textLayer(t *testing.T, text string) layer {
	t.Helper()
	l, err := streamLayer(func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func imageOf(t *testing.T, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := assemble(machine, v1.Config{}, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func tagOf(t *testing.T, ref string) name.Tag {
	t.Helper()
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// The tests of loads name the complaints about other tools, in the list of the project's issues, that they cover: "row 4".

// Each step loads into the node as the steps before left it. Rows 1 (only what is missing travels), 2 (another name for what
// is there: no layer travels), 5 (names are normalised), 6 (each image under its own name) and 8 (one stream, a shared layer
// once).
func TestLoadSendsOnlyWhatTheNodeLacks(t *testing.T) {
	t.Parallel()
	base, app, changed := textLayer(t, "the base"), textLayer(t, "the program"), textLayer(t, "the program, changed")
	node := newFakeNode()
	for _, step := range []struct {
		name    string
		before  func()
		images  map[string]v1.Image
		layers  []v1.Layer // that travel
		imports int
	}{
		{"everything, a shared layer once", nil, map[string]v1.Image{"acc/a:main": imageOf(t, base, app), "acc/b:main": imageOf(t, base)}, []v1.Layer{base, app}, 1},
		{"the same again", nil, map[string]v1.Image{"acc/a:main": imageOf(t, base, app), "acc/b:main": imageOf(t, base)}, nil, 0},
		{"one layer changed", nil, map[string]v1.Image{"acc/a:main": imageOf(t, base, changed)}, []v1.Layer{changed}, 1},
		{"another name", nil, map[string]v1.Image{"acc/a:other": imageOf(t, base, changed)}, nil, 1},
		{"only snapshots are left of the layers", func() {
			for _, l := range []layer{base, app, changed} {
				delete(node.content, l.diffID.String())
			}
		}, map[string]v1.Image{"acc/c:main": imageOf(t, base, app)}, nil, 1},
		{"the same layer elsewhere in the image", nil, map[string]v1.Image{"acc/d:main": imageOf(t, app, base)}, []v1.Layer{app, base}, 1},
		{"named, but its snapshots are gone", func() {
			clear(node.snapshots)
			clear(node.content)
		}, map[string]v1.Image{"acc/a:main": imageOf(t, base, changed)}, []v1.Layer{base, changed}, 1},
	} {
		if step.before != nil {
			step.before()
		}
		node.imports, node.received = 0, nil
		want := map[name.Tag]v1.Image{}
		for ref, img := range step.images {
			want[tagOf(t, ref)] = img
		}
		report, err := Load(t.Context(), node, want)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if node.imports != step.imports {
			t.Errorf("%s: %d imports, want %d", step.name, node.imports, step.imports)
		}
		travelled := map[string]int{}
		for _, d := range node.received {
			travelled[d]++
		}
		for _, l := range []layer{base, app, changed} {
			wanted := 0
			for _, w := range step.layers {
				if w.(layer).diffID == l.diffID {
					wanted = 1
				}
			}
			if travelled[l.diffID.String()] != wanted {
				t.Errorf("%s: layer %s travelled %d times, want %d", step.name, l.diffID, travelled[l.diffID.String()], wanted)
			}
		}
		sent := 0
		for _, l := range report.Images {
			sent += l.LayersSent
			if node.names[l.Ref] != l.Digest {
				t.Errorf("%s: %s stands for %q, want %s", step.name, l.Ref, node.names[l.Ref], l.Digest)
			}
		}
		if sent != len(step.layers) || (report.Bytes == 0) != (step.imports == 0) {
			t.Errorf("%s: reported %d layers and %d bytes", step.name, sent, report.Bytes)
		}
	}
	if _, ok := node.names["docker.io/acc/a:main"]; !ok {
		t.Errorf("names are not normalised: %v", node.names)
	}
}

// After a failed load nothing may pass for an image that can run, and the next load must work. Rows 4 (a name is left
// behind, of an image that isn't there) and 7 (the node's disk is full).
func TestFailedLoadLeavesNoBrokenName(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		broken fakeNode
		want   string
	}{
		"half-way":                        {fakeNode{breakAfter: 4000}, "no space left on device"},
		"half-way, names are left behind": {fakeNode{breakAfter: 4000, namesFirst: true}, "no space left on device"},
		"at the start":                    {fakeNode{breakAfter: 1}, "no space left on device"},
		"reported as done, not unpacked":  {fakeNode{noUnpack: true}, "incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := newFakeNode()
			if _, err := Load(t.Context(), node, map[name_]v1.Image{tagOf(t, "acc/old:main"): imageOf(t, textLayer(t, "another image"))}); err != nil {
				t.Fatal(err)
			}
			node.breakAfter, node.namesFirst, node.noUnpack = tc.broken.breakAfter, tc.broken.namesFirst, tc.broken.noUnpack
			img := map[name_]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, textLayer(t, strings.Repeat("x", 10000)))}
			node.imports = 0
			if _, err := Load(t.Context(), node, img); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got error %v, want one with %q", err, tc.want)
			}
			if node.imports != 1 {
				t.Errorf("%d attempts, though nothing was missing that the first had not sent", node.imports)
			}
			if _, ok := node.names["docker.io/acc/old:main"]; !ok || len(node.names) != 2 {
				t.Errorf("names %v, want those of the other image alone", node.names)
			}
			node.breakAfter, node.noUnpack = 0, false
			if _, err := Load(t.Context(), node, img); err != nil {
				t.Fatalf("load after the failure: %v", err)
			}
		})
	}
}

// name_ is name.Tag where a test case's own name hides the package.
type name_ = name.Tag

// containerd may collect an unnamed layer after the node was asked: the load must notice and send it. Row 4.
func TestLoadAgainWhenALayerWasCollectedMeanwhile(t *testing.T) {
	t.Parallel()
	base, app := textLayer(t, "the base"), textLayer(t, "the program")
	node := newFakeNode()
	node.content[base.diffID.String()] = []byte("the base")
	asked := 0
	var collect func()
	collect = func() {
		switch asked++; asked {
		case 1:
			delete(node.content, base.diffID.String())
		case 4: // the second attempt's own question: what the first one brought is collected as well
			clear(node.content)
		}
		node.afterState = collect
	}
	node.afterState = collect
	report, err := Load(t.Context(), node, map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, base, app)})
	if err != nil {
		t.Fatal(err)
	}
	if node.imports != 2 || report.Images[0].LayersSent != 2 || report.Images[0].LayersPresent != 0 {
		t.Errorf("%d imports, report %+v", node.imports, report)
	}
}

// Rows 4 and 7: the stream breaks off at this end, as when the file of a layer is gone.
func TestLoadOfALayerThatCantBeRead(t *testing.T) {
	t.Parallel()
	gone := errors.New("file is gone")
	l := textLayer(t, "the program")
	for name, open := range map[string]func() (io.ReadCloser, error){
		"can't be opened": func() (io.ReadCloser, error) { return nil, gone },
		"ends early":      func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader([]byte("the"))), nil },
		"fails half-way": func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("the"), errorReader{gone})), nil
		},
	} {
		node := newFakeNode()
		l.open = open
		_, err := Load(t.Context(), node, map[name_]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)})
		if !errors.Is(err, errSource) {
			t.Errorf("%s: got error %v", name, err)
		}
		if node.imports != 1 || len(node.names) != 0 {
			t.Errorf("%s: %d imports, names %v", name, node.imports, node.names)
		}
	}
}

// Row 4: Ctrl-C is a failed load too, and what cleans up after it must not be cancelled with it.
func TestCancelledLoadCleansUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	node := newFakeNode()
	node.breakAfter, node.namesFirst = 4000, true
	node.afterState = cancel
	if _, err := Load(ctx, node, map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, textLayer(t, strings.Repeat("x", 10000)))}); err == nil {
		t.Error("a broken load succeeded")
	}
	if len(node.names) != 0 || node.imports != 1 {
		t.Errorf("%d imports, names %v", node.imports, node.names)
	}
}

// Row 3: the node would take it, and complain of missing content, or of the format of the program, when a Pod starts.
func TestLoadRefusesAnotherPlatform(t *testing.T) {
	t.Parallel()
	img, err := assemble(v1.Platform{OS: "linux", Architecture: "s390x"}, v1.Config{}, textLayer(t, "the program"))
	if err != nil {
		t.Fatal(err)
	}
	node := newFakeNode()
	_, err = Load(t.Context(), node, map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): img, tagOf(t, "acc/b:main"): imageOf(t)})
	if !errors.Is(err, ErrPlatform) || !strings.Contains(err.Error(), "acc/a:main") || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("got error %v", err)
	}
	if node.imports != 0 || len(node.names) != 0 {
		t.Errorf("%d imports, names %v", node.imports, node.names)
	}
}

// Row 8: memory doesn't grow with an image. Not parallel: what other tests allocate would count.
func TestLoadTakesNoMemoryForLayers(t *testing.T) {
	const size = 256 << 20
	zeros := make([]byte, 64<<10)
	l, err := streamLayer(func(w io.Writer) error {
		for range size / len(zeros) {
			if _, err := w.Write(zeros); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	report, err := Load(t.Context(), newFakeNode(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)})
	if err != nil || report.Bytes < size {
		t.Fatalf("%d bytes sent, error %v", report.Bytes, err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > size/20 {
		t.Errorf("%d MB were allocated to load %d MB", took>>20, size>>20)
	}
}

func TestLoadRefusesCompressedLayers(t *testing.T) {
	t.Parallel()
	img := imageOf(t)
	l, err := random.Layer(100, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	if img, err = mutate.AppendLayers(img, l); err != nil {
		t.Fatal(err)
	}
	node := newFakeNode()
	_, err = Load(t.Context(), node, map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): img})
	if err == nil || !strings.Contains(err.Error(), "compressed") || node.imports != 0 {
		t.Errorf("got error %v after %d imports", err, node.imports)
	}
}

func TestNodeImages(t *testing.T) {
	t.Parallel()
	node := newFakeNode()
	node.names["docker.io/acc/a:main"] = "sha256:aa"
	got, err := NodeImages(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"docker.io/acc/a:main": "sha256:aa"}, got); diff != "" {
		t.Error(diff)
	}
}
