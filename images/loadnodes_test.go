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
		nodes[name] = n
	}
	return nodes
}

func TestLoadAllReadsOnceAndServesEveryNode(t *testing.T) {
	t.Parallel()
	base, baseReads := counted(t, strings.Repeat("the base", 20_000))
	app, appReads := counted(t, "the program")
	want := map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, base, app), tagOf(t, "acc/b:main"): imageOf(t, base)}
	fakes := map[string]*fakeNode{"empty": newFakeNode(), "base": newFakeNode(), "other": newFakeNode(), "all": newFakeNode()}
	if _, err := Load(t.Context(), fakes["base"], map[name.Tag]v1.Image{tagOf(t, "acc/b:main"): imageOf(t, base)}); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), fakes["other"], map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, textLayer(t, "another image"))}); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(t.Context(), fakes["all"], want); err != nil {
		t.Fatal(err)
	}
	for _, n := range fakes {
		n.imports = 0
	}
	baseReads.Store(0)
	appReads.Store(0)
	report, err := LoadAll(t.Context(), nodesOf(fakes), want)
	if err != nil {
		t.Fatal(err)
	}
	if baseReads.Load() != 1 || appReads.Load() != 1 {
		t.Errorf("the layers were read %d and %d times", baseReads.Load(), appReads.Load())
	}
	for name, n := range fakes {
		imports := 1
		if name == "all" {
			imports = 0
		}
		if n.imports != imports {
			t.Errorf("node %s: %d imports, want %d", name, n.imports, imports)
		}
		for _, l := range report.Images {
			if n.names[l.Ref] != l.Digest {
				t.Errorf("node %s: %s stands for %q, want %s", name, l.Ref, n.names[l.Ref], l.Digest)
			}
		}
	}
	// The old image of the node "other".
	if len(report.Images) != 2 || len(report.Removed) != 1 {
		t.Errorf("reported %+v", report)
	}
	for _, n := range fakes {
		n.imports = 0
	}
	if report, err := LoadAll(t.Context(), nodesOf(fakes), want); err != nil || report.Bytes != 0 || report.Images[0].Sent {
		t.Errorf("the same again: %+v, %v", report, err)
	}
}

// A node whose import breaks off keeps no broken name and keeps nothing from the others.
func TestLoadAllWithANodeThatFails(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]fakeNode{
		"half-way":                 {breakAfter: 100_000, namesFirst: true},
		"at the start":             {breakAfter: 1},
		"after the archive's end":  {noUnpack: true},
		"when asked what it has":   {cantTell: true},
		"with its input left over": {stopAfter: 100_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			big, reads := counted(t, strings.Repeat("x", 1_000_000))
			want := map[name_]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, big)}
			fakes := map[string]*fakeNode{"one": newFakeNode(), "two": newFakeNode(), "three": newFakeNode()}
			two := fakes["two"]
			two.breakAfter, two.namesFirst, two.noUnpack, two.cantTell, two.stopAfter = broken.breakAfter, broken.namesFirst, broken.noUnpack, broken.cantTell, broken.stopAfter
			_, err := LoadAll(t.Context(), nodesOf(fakes), want)
			if err == nil || !strings.Contains(err.Error(), "node two: ") || strings.Contains(err.Error(), "node one: ") || strings.Contains(err.Error(), "node three: ") {
				t.Errorf("got error %v, want one about node two alone", err)
			}
			if n := reads.Load(); n != 1 {
				t.Errorf("the layer was read %d times", n)
			}
			if len(two.names) != 0 {
				t.Errorf("node two has the names %v", two.names)
			}
			for _, n := range []string{"one", "three"} {
				if fakes[n].names["docker.io/acc/a:main"] == "" || fakes[n].imports != 1 {
					t.Errorf("node %s: %d imports, names %v", n, fakes[n].imports, fakes[n].names)
				}
			}
			two.breakAfter, two.noUnpack, two.cantTell, two.stopAfter = 0, false, false, 0
			if _, err := LoadAll(t.Context(), nodesOf(fakes), want); err != nil || two.names["docker.io/acc/a:main"] == "" || fakes["one"].imports != 1 {
				t.Errorf("load after the failure: %v; %d imports on node one", err, fakes["one"].imports)
			}
		})
	}
}

func TestLoadAllAgainWhereALayerWasCollectedMeanwhile(t *testing.T) {
	t.Parallel()
	base, app := textLayer(t, "the base"), textLayer(t, "the program")
	fakes := map[string]*fakeNode{"one": newFakeNode(), "two": newFakeNode()}
	for _, n := range fakes {
		n.content[base.diffID.String()] = []byte("the base")
	}
	fakes["two"].afterState = func() { delete(fakes["two"].content, base.diffID.String()) }
	if _, err := LoadAll(t.Context(), nodesOf(fakes), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, base, app)}); err != nil {
		t.Fatal(err)
	}
	if fakes["one"].imports != 1 || fakes["two"].imports != 2 {
		t.Errorf("%d and %d imports, want 1 and 2", fakes["one"].imports, fakes["two"].imports)
	}
}

func TestLoadAllOfALayerThatCantBeRead(t *testing.T) {
	t.Parallel()
	gone := errors.New("file is gone")
	l := textLayer(t, strings.Repeat("x", 1_000_000))
	l.open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 500_000)), errorReader{gone})), nil
	}
	fakes := map[string]*fakeNode{"one": newFakeNode(), "two": newFakeNode()}
	_, err := LoadAll(t.Context(), nodesOf(fakes), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)})
	if !errors.Is(err, errSource) || !errors.Is(err, gone) {
		t.Errorf("got error %v", err)
	}
	for name, n := range fakes {
		if n.imports != 1 || len(n.names) != 0 {
			t.Errorf("node %s: %d imports, names %v", name, n.imports, n.names)
		}
	}
}

// What a Pod may be told to run is only what it finds on any node.
func TestImagesOfSeveralNodes(t *testing.T) {
	t.Parallel()
	one, two := newFakeNode(), newFakeNode()
	one.names = map[string]string{"a": "sha256:aa", "b": "sha256:bb", "c": "sha256:cc"}
	two.names = map[string]string{"a": "sha256:aa", "b": "sha256:b2", "d": "sha256:dd"}
	got, err := Nodes{"one": one, "two": two}.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"a": "sha256:aa"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestEachTellsWhichNodesFailed(t *testing.T) {
	t.Parallel()
	down := errors.New("it is down")
	one, two, three := newFakeNode(), newFakeNode(), newFakeNode()
	done := new(atomic.Int32)
	err := Nodes{"one": one, "two": two, "three": three}.Each(t.Context(), func(_ context.Context, n Node) error {
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
