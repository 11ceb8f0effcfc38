package images

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/diff"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/containerd/typeurl/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"go.etcd.io/bbolt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/emptypb"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// fakeNode is a node with the stores of containerd itself, their leases and their garbage collection, in a folder of the
// test. What would take rights or a kubelet is a fake: layers are unpacked to nothing, and the CRI learns an image's
// name when it is asked for it.
type fakeNode struct {
	*Node
	db       *metadata.DB
	received []string // digests of the blobs that arrived
	written  int64    // bytes

	full       int64  // the disk takes so many bytes; 0: any number
	cantTell   bool   // asked what it has, the node fails
	cantUnpack bool   // layers can't be unpacked
	unpacks    int    // so many can, and then none any more; 0: any number
	cantRemove bool   // names can't be removed
	looked     func() // runs after each time that the node was asked what it has
}

var (
	errFull     = errors.New("no space left on device")
	errNoAnswer = errors.New("containerd doesn't answer")
)

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	dir := t.TempDir()
	blobs, err := local.NewStore(filepath.Join(dir, "content"))
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := native.NewSnapshotter(filepath.Join(dir, "snapshots"))
	if err != nil {
		t.Fatal(err)
	}
	// Tests wait for no disk.
	file, err := bbolt.Open(filepath.Join(dir, "meta.db"), 0o600, &bbolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	n := &fakeNode{db: metadata.NewDB(file, blobs, map[string]snapshots.Snapshotter{snapshotter: unpacked})}
	if err := n.db.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := fakeNames{metadata.NewImageStore(n.db), n}
	client, err := containerd.NewWithConn(nil, containerd.WithServices(
		containerd.WithContentStore(fakeContent{n.db.ContentStore(), n}),
		containerd.WithSnapshotters(map[string]snapshots.Snapshotter{snapshotter: fakeSnapshots{n.db.Snapshotter(snapshotter), n}}),
		containerd.WithImageStore(names),
		containerd.WithContainerStore(metadata.NewContainerStore(n.db)),
		containerd.WithLeasesService(metadata.NewLeaseManager(n.db)),
		containerd.WithDiffService(fakeDiff{n.db.ContentStore(), n})))
	if err != nil {
		t.Fatal(err)
	}
	n.Node = &Node{containerd: client, kubelet: fakeCRI{names: names.Store, content: n.db.ContentStore()}}
	return n
}

func (n *fakeNode) look() error {
	if n.cantTell {
		return errNoAnswer
	}
	if n.looked != nil {
		n.looked()
	}
	return nil
}

// collect runs containerd's garbage collection.
func (n *fakeNode) collect(t *testing.T) {
	t.Helper()
	if _, err := n.db.GarbageCollect(inNamespace(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// names are the manifest digests by name.
func (n *fakeNode) names(t *testing.T) map[string]string {
	t.Helper()
	got, err := n.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// holds reports whether the node has a blob.
func (n *fakeNode) holds(t *testing.T, id string) bool {
	t.Helper()
	_, err := n.db.ContentStore().Info(inNamespace(t.Context()), digest.Digest(id))
	if err != nil && !errdefs.IsNotFound(err) {
		t.Fatal(err)
	}
	return err == nil
}

// put gives the node content which nothing names.
func (n *fakeNode) put(t *testing.T, b blob) {
	t.Helper()
	r, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := content.WriteBlob(inNamespace(t.Context()), n.db.ContentStore(), "put", r, ocispec.Descriptor{Size: b.size, Digest: b.id()}); err != nil {
		t.Fatal(err)
	}
}

// dropContent removes layers' content.
func (n *fakeNode) dropContent(t *testing.T, layers ...layer) {
	t.Helper()
	for _, l := range layers {
		if err := n.db.ContentStore().Delete(inNamespace(t.Context()), digest.Digest(l.diffID.String())); err != nil && !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}

// runContainer has a container made of an image's name.
func (n *fakeNode) runContainer(t *testing.T, id, image string) {
	t.Helper()
	spec, err := typeurl.MarshalAny(&emptypb.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = metadata.NewContainerStore(n.db).Create(inNamespace(t.Context()),
		containers.Container{ID: id, Image: image, Runtime: containers.RuntimeInfo{Name: "io.containerd.runc.v2"}, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
}

// orErr is the first error of two.
func orErr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

type fakeContent struct {
	content.Store
	node *fakeNode
}

func (c fakeContent) Info(ctx context.Context, d digest.Digest) (content.Info, error) {
	info, err := c.Store.Info(ctx, d)
	return info, orErr(c.node.look(), err)
}

func (c fakeContent) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	w, err := c.Store.Writer(ctx, opts...)
	return fakeWriter{w, c.node}, err
}

type fakeWriter struct {
	content.Writer
	node *fakeNode
}

func (w fakeWriter) Write(p []byte) (int, error) {
	if w.node.full > 0 && w.node.written+int64(len(p)) > w.node.full {
		return 0, errFull
	}
	w.node.written += int64(len(p))
	return w.Writer.Write(p)
}

func (w fakeWriter) Commit(ctx context.Context, size int64, expected digest.Digest, opts ...content.Opt) error {
	err := w.Writer.Commit(ctx, size, expected, opts...)
	if err == nil {
		w.node.received = append(w.node.received, expected.String())
	}
	return err
}

type fakeSnapshots struct {
	snapshots.Snapshotter
	node *fakeNode
}

func (s fakeSnapshots) Stat(ctx context.Context, key string) (snapshots.Info, error) {
	info, err := s.Snapshotter.Stat(ctx, key)
	return info, orErr(s.node.look(), err)
}

type fakeNames struct {
	images.Store
	node *fakeNode
}

func (s fakeNames) Get(ctx context.Context, name string) (images.Image, error) {
	img, err := s.Store.Get(ctx, name)
	return img, orErr(s.node.look(), err)
}

func (s fakeNames) Delete(ctx context.Context, name string, opts ...images.DeleteOpt) error {
	if s.node.cantRemove {
		return errNoAnswer
	}
	return s.Store.Delete(ctx, name, opts...)
}

// fakeDiff unpacks layers to nothing, but reads them.
type fakeDiff struct {
	content content.Store
	node    *fakeNode
}

func (d fakeDiff) Apply(ctx context.Context, desc ocispec.Descriptor, _ []mount.Mount, _ ...diff.ApplyOpt) (ocispec.Descriptor, error) {
	if d.node.cantUnpack {
		return ocispec.Descriptor{}, errFull
	}
	if d.node.unpacks > 0 {
		d.node.unpacks--
		d.node.cantUnpack = d.node.unpacks == 0
	}
	r, err := d.content.ReaderAt(ctx, desc)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer r.Close()
	digester := digest.Canonical.Digester()
	if _, err := io.Copy(digester.Hash(), content.NewReader(r)); err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{Digest: digester.Digest(), Size: desc.Size}, nil
}

func (fakeDiff) Compare(context.Context, []mount.Mount, []mount.Mount, ...diff.Opt) (ocispec.Descriptor, error) {
	return ocispec.Descriptor{}, errdefs.ErrNotImplemented
}

// fakeCRI names an image, when it is asked for it, by its ID too.
type fakeCRI struct {
	cri.ImageServiceClient
	names   images.Store
	content content.Store
}

func (f fakeCRI) ImageStatus(ctx context.Context, in *cri.ImageStatusRequest, _ ...grpc.CallOption) (*cri.ImageStatusResponse, error) {
	img, err := f.names.Get(ctx, in.Image.Image)
	if errdefs.IsNotFound(err) {
		return &cri.ImageStatusResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	config, err := img.Config(ctx, f.content, platforms.All)
	if err != nil {
		return nil, err
	}
	id := config.Digest.String()
	if _, err := f.names.Create(ctx, images.Image{Name: id, Target: img.Target}); err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, err
	}
	return &cri.ImageStatusResponse{Image: &cri.Image{Id: id}}, nil
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestNodeImages(t *testing.T) {
	t.Parallel()
	node, img := newFakeNode(t), imageOf(t, textLayer(t, "the program"))
	if _, err := node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): img}); err != nil {
		t.Fatal(err)
	}
	d := manifestOf(t, img)
	if diff := cmp.Diff(map[string]string{"docker.io/acc/a:main": d, idOf(t, img): d}, node.names(t)); diff != "" {
		t.Error(diff)
	}
}

// What images take counts, named or not; what containers wrote doesn't.
func TestNodeBytes(t *testing.T) {
	t.Parallel()
	node := newFakeNode(t)
	l := textLayer(t, "the program")
	node.put(t, blob{l.diffID, l.size, l.open})
	if got, err := node.Bytes(t.Context()); err != nil || got != l.size {
		t.Errorf("%d bytes, %v; want %d", got, err, l.size)
	}
	report, err := node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): imageOf(t, l)})
	if err != nil {
		t.Fatal(err)
	}
	before, err := node.Bytes(t.Context())
	if err != nil || before < l.size+report.Bytes {
		t.Errorf("%d bytes, %v; want %d at least", before, err, l.size+report.Bytes)
	}
	ctx := inNamespace(t.Context())
	if _, err := node.db.Snapshotter(snapshotter).Prepare(ctx, "a container's", ""); err != nil {
		t.Fatal(err)
	}
	if got, err := node.Bytes(t.Context()); err != nil || got != before {
		t.Errorf("with a container %d bytes, %v; want %d", got, err, before)
	}
}

// A node that comes back is asked when its containerd answers, not told what became of an earlier attempt.
func TestConnectAfterFailures(t *testing.T) {
	t.Parallel()
	listener := bufconn.Listen(1 << 10)
	server := grpc.NewServer()
	go server.Serve(listener) //nolint:errcheck // it ends with the test
	defer server.Stop()
	var attempts atomic.Int32
	node := NewNode(func(ctx context.Context) (net.Conn, error) {
		if attempts.Add(1) < 5 {
			return nil, errNoAnswer
		}
		return listener.DialContext(ctx)
	})
	defer node.Close()
	if _, err := node.Images(t.Context()); err == nil || !strings.Contains(err.Error(), errNoAnswer.Error()) {
		t.Errorf("a node that is down: %v", err)
	}
	if err := node.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := node.Images(t.Context()); status.Code(errors.Unwrap(err)) == codes.Unavailable || attempts.Load() != 5 {
		t.Errorf("connected, after %d attempts: %v", attempts.Load(), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	gone := NewNode(func(context.Context) (net.Conn, error) { return nil, errNoAnswer })
	defer gone.Close()
	if err := gone.Connect(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a node that never answers: %v", err)
	}
}
