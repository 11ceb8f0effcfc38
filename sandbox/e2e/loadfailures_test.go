package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// What goes wrong between an image and a node's containerd must leave no name behind that passes for an image, and must
// not keep the next load from working. The unit tests of images have more cases, with containerd's stores but not with
// containerd.
func TestLoadFailures(t *testing.T) {
	node := connect(t)
	broken := errors.New("the disk of this machine is broken")
	for title, tc := range map[string]struct {
		breaks func(t *testing.T, node loadNode) (mend func())
		img    func(base, app v1.Layer) v1.Image
		want   string // in the error
	}{
		"the stream breaks off at this end": {nil, func(base, app v1.Layer) v1.Image {
			return imageOf(t, runtime.GOARCH, base, breakingLayer{app, broken})
		}, broken.Error()},
		"the node's disk is full": {fullDisk, func(base, app v1.Layer) v1.Image { return imageOf(t, runtime.GOARCH, base, app) }, "no space left on device"},
		"another platform":        {nil, func(base, app v1.Layer) v1.Image { return imageOf(t, "s390x", base, app) }, "linux/s390x"},
		"a layer is no archive":   {nil, func(base, app v1.Layer) v1.Image { return imageOf(t, runtime.GOARCH, base, noArchive()) }, "unpack"},
	} {
		tag := tagFor(t, title)
		t.Cleanup(func() { untag(t, node, tag) })
		base, app := randomLayer(t), randomLayer(t)
		mend := func() {}
		if tc.breaks != nil {
			mend = tc.breaks(t, node)
		}
		_, err := node.Load(t.Context(), map[name.Tag]v1.Image{tag: tc.img(base, app)})
		mend()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got error %v, want one with %q", title, err, tc.want)
		}
		if digest, there := namesOn(t, node)[images.Normalised(tag)]; there {
			t.Errorf("%s: the node has the name afterwards, for %s", title, digest)
		}
		load(t, node, title+", the next load", tag, imageOf(t, runtime.GOARCH, base, app))
		untag(t, node, tag)
	}
}

// fullDisk has containerd write what arrives to a disk of less than one layer.
func fullDisk(t *testing.T, node loadNode) (mend func()) {
	t.Helper()
	const ingest = "/var/lib/containerd/io.containerd.content.v1.content/ingest"
	if _, err := node.Exec(t.Context(), nil, "mount", "-t", "tmpfs", "-o", "size=64k", "full", ingest); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := node.Exec(context.WithoutCancel(t.Context()), nil, "umount", "-l", ingest); err != nil {
			t.Error(err)
		}
	}
}

// noArchive is a layer that can't be unpacked.
func noArchive() v1.Layer {
	return static.NewLayer(bytes.Repeat([]byte("no archive"), 1000), types.OCIUncompressedLayer)
}

// Layers that nothing names any more may be collected by containerd at any time: the node has them when the load begins.
func TestLoadAfterCollection(t *testing.T) {
	node := connect(t)
	for range 5 {
		base, app := randomLayer(t), randomLayer(t)
		old, tag := tagFor(t, "collected"), tagFor(t, "collection")
		t.Cleanup(func() { untag(t, node, old, tag) })
		load(t, node, "the image whose layers are collected", old, imageOf(t, runtime.GOARCH, base))
		id, err := imageOf(t, runtime.GOARCH, base).ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		collected := make(chan error)
		go func() {
			_, err := node.Exec(t.Context(), nil, "ctr", "-n", "k8s.io", "images", "rm", "--sync", images.Normalised(old), id.String())
			collected <- err
		}()
		load(t, node, "a layer was collected meanwhile", tag, imageOf(t, runtime.GOARCH, base, app))
		if err := <-collected; err != nil {
			t.Error(err)
		}
		load(t, node, "the same once more", tag, imageOf(t, runtime.GOARCH, base, app))
		untag(t, node, tag)
	}
}

// What BuildKit leaves, with attestations and an image for another machine, compressed.
func TestLoadOfAnIndexWithAttestations(t *testing.T) {
	node := connect(t)
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "rust/x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rust/x", images.ServiceFile), []byte("build: [\"true\"]\noci: out\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	compressed, err := random.Layer(2000, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	attestation := v1.Descriptor{Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: imageOf(t, "s390x", randomLayer(t))},
		mutate.IndexAddendum{Add: imageOf(t, "unknown", randomLayer(t)), Descriptor: attestation},
		mutate.IndexAddendum{Add: imageOf(t, runtime.GOARCH, compressed)})
	if _, err := layout.Write(filepath.Join(dir, "rust/x/out"), index); err != nil {
		t.Fatal(err)
	}
	b := images.CommandBuilder{Workspace: dir, Cache: t.TempDir()}
	img, err := b.Build(t.Context(), images.Service{Name: "x", Dir: "rust/x", Language: images.Command})
	if err != nil {
		t.Fatal(err)
	}
	tag := tagFor(t, "attestations")
	t.Cleanup(func() { untag(t, node, tag) })
	load(t, node, "an index with attestations", tag, img)
}

type machine = cluster.Node

// loadNode is the sandbox's node: what is loaded into, and the machine on which to look at it.
type loadNode struct {
	*images.Node
	machine
}

func connect(t *testing.T) loadNode {
	t.Helper()
	docker, err := engine.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := cluster.NewNode(docker, cluster.NodeName(sandboxName))
	n := loadNode{images.NewNode(m.DialContainerd), m}
	t.Cleanup(func() {
		n.Close()
		docker.Close()
	})
	return n
}

// load loads an image that must arrive whole: containerd itself is asked.
func load(t *testing.T, node loadNode, title string, tag name.Tag, img v1.Image) {
	t.Helper()
	if _, err := node.Load(t.Context(), map[name.Tag]v1.Image{tag: img}); err != nil {
		t.Errorf("%s: %v", title, err)
		return
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got := namesOn(t, node)[images.Normalised(tag)]; got != digest.String() {
		t.Errorf("%s: the node has %q under the name, want %s", title, got, digest)
	}
	out, err := node.Exec(t.Context(), nil, "ctr", "-n", "k8s.io", "images", "check", "--snapshotter", "overlayfs", "name=="+images.Normalised(tag))
	if err != nil || !strings.Contains(string(out), "true") {
		t.Errorf("%s: containerd says of it:\n%s (%v)", title, out, err)
	}
}

func namesOn(t *testing.T, node loadNode) map[string]string {
	t.Helper()
	names, err := node.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// untag removes names from the node, also when the test's own context has ended.
func untag(t *testing.T, node loadNode, tags ...name.Tag) {
	t.Helper()
	for _, tag := range tags {
		if err := node.Untag(context.WithoutCancel(t.Context()), images.Normalised(tag)); err != nil {
			t.Errorf("clean up: %v", err)
		}
	}
}

func tagFor(t *testing.T, title string) name.Tag {
	t.Helper()
	tag, err := name.NewTag("load-failures/" + strings.NewReplacer(" ", "-", "'", "", ",", "").Replace(title) + ":main")
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

// randomLayer is one that no node has, uncompressed.
func randomLayer(t *testing.T) v1.Layer {
	t.Helper()
	l, err := random.Layer(200_000, types.OCILayer)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return static.NewLayer(content, types.OCIUncompressedLayer)
}

func imageOf(t *testing.T, arch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), layers...)
	if err != nil {
		t.Fatal(err)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = "linux", arch
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		t.Fatal(err)
	}
	return mutate.ConfigMediaType(img, types.OCIConfigJSON)
}

// breakingLayer ends half-way with an error.
type breakingLayer struct {
	v1.Layer
	err error
}

func (l breakingLayer) Compressed() (io.ReadCloser, error) {
	r, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.MultiReader(io.LimitReader(r, 100_000), failing{l.err})), nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
