package images

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// counted is a layer that counts how often it was opened.
func counted(t *testing.T, text string) (layer, *atomic.Int32) {
	t.Helper()
	l := textLayer(t, text)
	open, n := l.open, new(atomic.Int32)
	l.open = func() (io.ReadCloser, error) {
		n.Add(1)
		return open()
	}
	return l, n
}

func nodesOf(fakes map[string]*fakeNode) Nodes {
	nodes := Nodes{}
	for name, n := range fakes {
		nodes[name] = n.Node
	}
	return nodes
}

func TestLoadReadsOnceAndServesEveryNode(t *testing.T) {
	t.Parallel()
	base, baseReads := counted(t, strings.Repeat("the base", 500_000))
	app, appReads := counted(t, "the program")
	want := map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, base, app), tagOf(t, "acc/b:main"): imageOf(t, base)}
	fakes := map[string]*fakeNode{"empty": newFakeNode(t), "base": newFakeNode(t), "other": newFakeNode(t), "all": newFakeNode(t)}
	for name, before := range map[string]map[name.Tag]v1.Image{
		"base":  {tagOf(t, "acc/b:main"): imageOf(t, base)},
		"other": {tagOf(t, "acc/a:main"): imageOf(t, textLayer(t, "another image"))},
		"all":   want,
	} {
		if _, err := fakes[name].Load(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range fakes {
		n.received = nil
	}
	baseReads.Store(0)
	appReads.Store(0)
	report, err := nodesOf(fakes).Load(t.Context(), want)
	if err != nil {
		t.Fatal(err)
	}
	if baseReads.Load() != 1 || appReads.Load() != 1 {
		t.Errorf("the layers were read %d and %d times", baseReads.Load(), appReads.Load())
	}
	for name, blobs := range map[string]int{"all": 0, "base": 3, "empty": 6, "other": 6} {
		n := fakes[name]
		if len(n.received) != blobs {
			t.Errorf("node %s: %d blobs arrived, want %d", name, len(n.received), blobs)
		}
		for _, l := range report.Images {
			if got := n.names(t)[l.Ref]; got != l.Digest {
				t.Errorf("node %s: %s stands for %q, want %s", name, l.Ref, got, l.Digest)
			}
		}
		n.received = nil
	}
	// The old image of the node "other".
	if len(report.Images) != 2 || len(report.Removed) != 1 {
		t.Errorf("reported %+v", report)
	}
	if report, err := nodesOf(fakes).Load(t.Context(), want); err != nil || report.Bytes != 0 || report.Images[0].Sent {
		t.Errorf("the same again: %+v, %v", report, err)
	}
}

// A node that fails has no new name, and keeps nothing from the others.
func TestLoadWithANodeThatFails(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(*fakeNode){
		"half-way":               func(n *fakeNode) { n.full = 2 << 20 },
		"at the start":           func(n *fakeNode) { n.full = 1 },
		"while it unpacks":       func(n *fakeNode) { n.cantUnpack = true },
		"when asked what it has": func(n *fakeNode) { n.cantTell = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			big, reads := counted(t, strings.Repeat("x", 5<<20))
			want := map[name_]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, big)}
			fakes := map[string]*fakeNode{"one": newFakeNode(t), "two": newFakeNode(t), "three": newFakeNode(t)}
			two := fakes["two"]
			breaks(two)
			_, err := nodesOf(fakes).Load(t.Context(), want)
			if err == nil || !strings.Contains(err.Error(), "node two: ") || strings.Contains(err.Error(), "node one: ") || strings.Contains(err.Error(), "node three: ") {
				t.Errorf("got error %v, want one about node two alone", err)
			}
			if n := reads.Load(); n != 1 {
				t.Errorf("the layer was read %d times", n)
			}
			two.full, two.cantUnpack, two.cantTell = 0, false, false
			if names := two.names(t); len(names) != 0 {
				t.Errorf("node two has the names %v", names)
			}
			for _, n := range []string{"one", "three"} {
				if fakes[n].names(t)["docker.io/acc/a:main"] == "" {
					t.Errorf("node %s has the names %v", n, fakes[n].names(t))
				}
				fakes[n].received = nil
			}
			if _, err := nodesOf(fakes).Load(t.Context(), want); err != nil || two.names(t)["docker.io/acc/a:main"] == "" || len(fakes["one"].received) != 0 {
				t.Errorf("load after the failure: %v; node one got %v again", err, fakes["one"].received)
			}
		})
	}
}

func TestLoadOfALayerThatCantBeReadWithSeveralNodes(t *testing.T) {
	t.Parallel()
	gone := errors.New("file is gone")
	l := textLayer(t, strings.Repeat("x", 3<<20))
	l.open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 2<<20)), errorReader{gone})), nil
	}
	fakes := map[string]*fakeNode{"one": newFakeNode(t), "two": newFakeNode(t)}
	_, err := nodesOf(fakes).Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)})
	if !errors.Is(err, errSource) || !errors.Is(err, gone) {
		t.Errorf("got error %v", err)
	}
	for name, n := range fakes {
		if names := n.names(t); len(names) != 0 {
			t.Errorf("node %s has the names %v", name, names)
		}
	}
}

// What a Pod may be told to run is only what it finds on any node.
func TestImagesOfSeveralNodes(t *testing.T) {
	t.Parallel()
	a, b, other := imageOf(t, textLayer(t, "a")), imageOf(t, textLayer(t, "b")), imageOf(t, textLayer(t, "another b"))
	fakes := map[string]*fakeNode{"one": newFakeNode(t), "two": newFakeNode(t)}
	for name, images := range map[string]map[name.Tag]v1.Image{
		"one": {tagOf(t, "acc/a:main"): a, tagOf(t, "acc/b:main"): b, tagOf(t, "acc/c:main"): b},
		"two": {tagOf(t, "acc/a:main"): a, tagOf(t, "acc/b:main"): other, tagOf(t, "acc/d:main"): other},
	} {
		if _, err := fakes[name].Load(t.Context(), images); err != nil {
			t.Fatal(err)
		}
	}
	got, err := nodesOf(fakes).Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"docker.io/acc/a:main": manifestOf(t, a), idOf(t, a): manifestOf(t, a)}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEachTellsWhichNodesFailed(t *testing.T) {
	t.Parallel()
	down := errors.New("it is down")
	one, two, three := new(Node), new(Node), new(Node)
	done := new(atomic.Int32)
	err := Nodes{"one": one, "two": two, "three": three}.Each(t.Context(), func(_ context.Context, n *Node) error {
		if n == two {
			return down
		}
		done.Add(1)
		return nil
	})
	if !errors.Is(err, down) || err.Error() != "node two: it is down" || done.Load() != 2 {
		t.Errorf("got %v; done on %d others", err, done.Load())
	}
}
