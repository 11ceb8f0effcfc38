package images

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
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
	node := newFakeNode(t)
	for _, step := range []struct {
		name   string
		before func()
		images map[string]v1.Image
		layers []layer // that travel
		sends  bool    // anything
	}{
		{"everything, a shared layer once", nil, map[string]v1.Image{"acc/a:main": imageOf(t, base, app), "acc/b:main": imageOf(t, base)}, []layer{base, app}, true},
		{"the same again", nil, map[string]v1.Image{"acc/a:main": imageOf(t, base, app), "acc/b:main": imageOf(t, base)}, nil, false},
		{"one layer changed", nil, map[string]v1.Image{"acc/a:main": imageOf(t, base, changed)}, []layer{changed}, true},
		{"another name", nil, map[string]v1.Image{"acc/a:other": imageOf(t, base, changed)}, nil, false},
		{"only snapshots are left of the layers", func() { node.dropContent(t, base, app, changed) },
			map[string]v1.Image{"acc/c:main": imageOf(t, base, changed)}, nil, false},
		{"the same layers in another order", nil, map[string]v1.Image{"acc/d:main": imageOf(t, changed, base)}, []layer{changed, base}, true},
	} {
		if step.before != nil {
			step.before()
		}
		node.received = nil
		want := map[name.Tag]v1.Image{}
		for ref, img := range step.images {
			want[tagOf(t, ref)] = img
		}
		report, err := node.Load(t.Context(), want)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		travelled := map[string]int{}
		for _, d := range node.received {
			travelled[d]++
		}
		for _, l := range []layer{base, app, changed} {
			wanted := 0
			if slices.ContainsFunc(step.layers, func(w layer) bool { return w.diffID == l.diffID }) {
				wanted = 1
			}
			if travelled[l.diffID.String()] != wanted {
				t.Errorf("%s: layer %s travelled %d times, want %d", step.name, l.diffID, travelled[l.diffID.String()], wanted)
			}
		}
		sent := 0
		for _, l := range report.Images {
			sent += l.LayersSent
			if got := node.names(t)[l.Ref]; got != l.Digest {
				t.Errorf("%s: %s stands for %q, want %s", step.name, l.Ref, got, l.Digest)
			}
		}
		if sent != len(step.layers) || (report.Bytes > 0) != step.sends || (len(node.received) > 0) != step.sends {
			t.Errorf("%s: reported %d layers and %d bytes, received %v", step.name, sent, report.Bytes, node.received)
		}
		node.collect(t)
		again, err := node.Load(t.Context(), want)
		if err != nil || again.Bytes != 0 || again.Images[0].Sent {
			t.Errorf("%s: the same after a collection: %+v, %v", step.name, again, err)
		}
	}
	if _, ok := node.names(t)["docker.io/acc/a:main"]; !ok {
		t.Errorf("names are not normalised: %v", node.names(t))
	}
}

// An image that another tool named and didn't unpack, or of which it brought less than all, isn't there.
func TestLoadOfAnImageThatIsOnlyNamed(t *testing.T) {
	t.Parallel()
	img := imageOf(t, textLayer(t, "the base"), textLayer(t, "the program"))
	p, err := takeApart(img)
	if err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string][]blob{"manifest": {p.manifest}, "configuration too": {p.manifest, p.config}, "a layer too": {p.manifest, p.config, p.layers[0]}, "all": p.contents()} {
		node := newFakeNode(t)
		for _, b := range there {
			node.put(t, b)
		}
		named := images.Image{Name: "docker.io/acc/a:main", Target: p.descriptor()}
		if _, err := node.containerd.ImageService().Create(inNamespace(t.Context()), named); err != nil {
			t.Fatal(err)
		}
		report, err := node.Load(t.Context(), map[name_]v1.Image{tagOf(t, "acc/a:main"): img})
		if err != nil || !report.Images[0].Sent || len(node.received) != 4-len(there) {
			t.Errorf("%s is there: %v; %+v; %d blobs arrived", name, err, report, len(node.received))
		}
		node.collect(t)
		if again, err := node.Load(t.Context(), map[name_]v1.Image{tagOf(t, "acc/a:main"): img}); err != nil || again.Images[0].Sent {
			t.Errorf("%s was there: it isn't whole after a collection: %+v, %v", name, again, err)
		}
	}
}

// After a failed load no name stands for an image that can't run, one that was there stands for the old image, and the next
// load must work. Rows 4 (a name is left behind, of an image that isn't there) and 7 (the node's disk is full).
func TestFailedLoadLeavesNamesAlone(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		breaks func(*fakeNode)
		want   string
	}{
		"half-way":          {func(n *fakeNode) { n.full = 4000 }, errFull.Error()},
		"at the start":      {func(n *fakeNode) { n.full = 1 }, errFull.Error()},
		"while it unpacks":  {func(n *fakeNode) { n.cantUnpack = true }, errFull.Error()},
		"after one of two":  {func(n *fakeNode) { n.unpacks = 1 }, errFull.Error()},
		"before it begins":  {func(n *fakeNode) { n.cantTell = true }, errNoAnswer.Error()},
		"on its second ask": {func(n *fakeNode) { n.looked = func() { n.cantTell = true } }, errNoAnswer.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := newFakeNode(t)
			old := map[name_]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, textLayer(t, "the old image"))}
			if _, err := node.Load(t.Context(), old); err != nil {
				t.Fatal(err)
			}
			before := node.names(t)
			node.written = 0
			tc.breaks(node)
			big := textLayer(t, strings.Repeat("x", 3<<20))
			fresh := map[name_]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, big), tagOf(t, "acc/b:main"): imageOf(t, textLayer(t, "another"))}
			if _, err := node.Load(t.Context(), fresh); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got error %v, want one with %q", err, tc.want)
			}
			node.full, node.cantUnpack, node.cantTell, node.looked, node.unpacks = 0, false, false, nil, 0
			if diff := cmp.Diff(before, node.names(t)); diff != "" {
				t.Errorf("names changed: %s", diff)
			}
			node.collect(t)
			if node.holds(t, big.diffID.String()) {
				t.Error("what arrived stays for good")
			}
			if report, err := node.Load(t.Context(), old); err != nil || report.Bytes != 0 {
				t.Errorf("the old image isn't whole: %+v, %v", report, err)
			}
			if _, err := node.Load(t.Context(), fresh); err != nil {
				t.Fatalf("load after the failure: %v", err)
			}
		})
	}
}

// name_ is name.Tag where a test case's own name hides the package.
type name_ = name.Tag

// containerd may collect what nothing names at any time: before it is seen, and between that and its use. Row 4.
func TestLoadWhileContainerdCollects(t *testing.T) {
	t.Parallel()
	base, app := textLayer(t, "the base"), textLayer(t, "the program")
	node := newFakeNode(t)
	node.put(t, blob{base.diffID, base.size, base.open})
	node.looked = func() { node.collect(t) }
	report, err := node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, base, app)})
	if err != nil || report.Images[0].LayersSent != 2 {
		t.Errorf("%v; report %+v", err, report)
	}
	// The layers of an image that lost its name, held from the moment that they are seen.
	if err := node.Untag(t.Context(), "docker.io/acc/a:main", report.Images[0].ConfigDigest); err != nil {
		t.Fatal(err)
	}
	looks := 0
	node.looked = func() {
		if looks++; looks > 8 { // all layers were seen and held
			node.collect(t)
		}
	}
	other := imageOf(t, base, app, textLayer(t, "more"))
	if report, err = node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/b:main"): other}); err != nil {
		t.Fatal(err)
	}
	if again, err := node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/b:main"): other}); err != nil || again.Bytes != 0 {
		t.Errorf("it isn't whole afterwards: %+v, %v", again, err)
	}
}

// Rows 4 and 7: the stream breaks off at this end, as when the file of a layer is gone.
func TestLoadOfALayerThatCantBeRead(t *testing.T) {
	t.Parallel()
	gone := errors.New("file is gone")
	l := textLayer(t, "the program")
	of := func(r ...io.Reader) func() (io.ReadCloser, error) {
		return func() (io.ReadCloser, error) { return io.NopCloser(io.MultiReader(r...)), nil }
	}
	for name, open := range map[string]func() (io.ReadCloser, error){
		"can't be opened":   func() (io.ReadCloser, error) { return nil, gone },
		"ends early":        of(strings.NewReader("the")),
		"goes on":           of(strings.NewReader("the program, and more")),
		"fails half-way":    of(strings.NewReader("the"), errorReader{gone}),
		"fails at its end":  of(strings.NewReader("the program"), errorReader{gone}),
		"has other content": of(strings.NewReader("the Program")),
	} {
		node := newFakeNode(t)
		l.open = open
		_, err := node.Load(t.Context(), map[name_]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)})
		if !errors.Is(err, errSource) && (err == nil || name != "has other content") {
			t.Errorf("%s: got error %v", name, err)
		}
		if names := node.names(t); len(names) != 0 {
			t.Errorf("%s: names %v", name, names)
		}
	}
}

// Row 4: Ctrl-C is a failed load too, and what cleans up after it must not be cancelled with it.
func TestCancelledLoadCleansUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	node := newFakeNode(t)
	l := textLayer(t, "the program")
	open := l.open
	l.open = func() (io.ReadCloser, error) {
		cancel()
		node.cantUnpack = true // containerd's own stores don't look at the context
		return open()
	}
	if _, err := node.Load(ctx, map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)}); err == nil {
		t.Error("a broken load succeeded")
	}
	kept, err := node.containerd.LeasesService().List(inNamespace(t.Context()))
	if err != nil || len(kept) != 0 || len(node.names(t)) != 0 {
		t.Errorf("leases %v, %v; names %v", kept, err, node.names(t))
	}
}

// Row 3: the node would take it, and complain of missing content, or of the format of the program, when a Pod starts.
func TestLoadRefusesAnotherPlatform(t *testing.T) {
	t.Parallel()
	img, err := assemble(v1.Platform{OS: "linux", Architecture: "s390x"}, v1.Config{}, textLayer(t, "the program"))
	if err != nil {
		t.Fatal(err)
	}
	node := newFakeNode(t)
	_, err = node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): img, tagOf(t, "acc/b:main"): imageOf(t)})
	if !errors.Is(err, ErrPlatform) || !strings.Contains(err.Error(), "acc/a:main") || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("got error %v", err)
	}
	if len(node.received) != 0 || len(node.names(t)) != 0 {
		t.Errorf("received %v, names %v", node.received, node.names(t))
	}
}

// Row 8: memory doesn't grow with an image. Not parallel: what other tests allocate would count.
func TestLoadTakesNoMemoryForLayers(t *testing.T) {
	const size = 128 << 20
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
	report, err := newFakeNode(t).Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)})
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
	node := newFakeNode(t)
	_, err = node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): img})
	if err == nil || !strings.Contains(err.Error(), "compressed") || len(node.received) != 0 {
		t.Errorf("got error %v, received %v", err, node.received)
	}
}
