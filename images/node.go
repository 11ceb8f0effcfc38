package images

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/defaults"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Node is the containerd of a machine, from which the kubelet there makes containers.
type Node struct {
	containerd *containerd.Client
	kubelet    cri.ImageServiceClient // the interface of the same containerd by which the kubelet asks for images
	conn       *grpc.ClientConn
}

// NewNode returns the node to whose containerd dial connects. It connects when it is first asked something; the connection
// stays, and when it has ended, as after the machine's restart, the next question makes a new one.
func NewNode(dial func(ctx context.Context) (net.Conn, error)) *Node {
	conn, err := grpc.NewClient("passthrough:///containerd",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dial(ctx) }),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second},
			MinConnectTimeout: 20 * time.Second,
		}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(defaults.DefaultMaxRecvMsgSize), grpc.MaxCallSendMsgSize(defaults.DefaultMaxSendMsgSize)))
	if err != nil {
		panic(err) // the options are right or wrong, whatever the machine
	}
	client, err := containerd.NewWithConn(conn)
	if err != nil {
		panic(err)
	}
	return &Node{client, cri.NewImageServiceClient(conn), conn}
}

// Connect returns when the node's containerd answers. Without it, whoever asks a node that has just started gets what the last
// attempt to connect came to.
func (n *Node) Connect(ctx context.Context) error {
	n.conn.ResetConnectBackoff()
	for {
		state := n.conn.GetState()
		switch state {
		case connectivity.Ready:
			return nil
		case connectivity.Shutdown:
			return fmt.Errorf("connect to the node's containerd: %w", net.ErrClosed)
		}
		n.conn.Connect()
		if !n.conn.WaitForStateChange(ctx, state) {
			_, err := n.containerd.Version(ctx) // says what became of the last attempt
			return fmt.Errorf("connect to the node's containerd: %w", errors.Join(ctx.Err(), err))
		}
	}
}

// Close ends the connection. A node that is closed can't be asked any more.
func (n *Node) Close() error { return n.conn.Close() }

// snapshotter is where kind's containerd unpacks images, and where the kubelet's containers are made from.
const snapshotter = "overlayfs"

// inNamespace returns a context for what is the kubelet's in containerd.
func inNamespace(ctx context.Context) context.Context { return namespaces.WithNamespace(ctx, "k8s.io") }

// Images returns the manifest digests of the images on a node, by normalised reference
// ("docker.io/dynamos1/agent:main").
func (n *Node) Images(ctx context.Context) (map[string]string, error) {
	list, err := n.containerd.ImageService().List(inNamespace(ctx))
	if err != nil {
		return nil, fmt.Errorf("ask the node which images it has: %w", err)
	}
	names := map[string]string{}
	for _, img := range list {
		names[img.Name] = img.Target.Digest.String()
	}
	return names, nil
}

// has reports whether the node has an image under its name, whole and unpacked.
func (n *Node) has(ctx context.Context, img named) (bool, error) {
	got, err := n.containerd.ImageService().Get(ctx, img.ref)
	if ok, err := found(err); !ok {
		return false, err
	}
	if got.Target.Digest != img.parts.manifest.id() {
		return false, nil
	}
	// The layers' content is not needed to make a container, what they unpack to is.
	for _, b := range []blob{img.parts.manifest, img.parts.config} {
		if ok, err := n.hasContent(ctx, b); !ok {
			return false, err
		}
	}
	if len(img.parts.chains) == 0 {
		return true, nil
	}
	return n.hasSnapshot(ctx, img.parts.chains[len(img.parts.chains)-1])
}

func (n *Node) hasContent(ctx context.Context, b blob) (bool, error) {
	_, err := n.containerd.ContentStore().Info(ctx, b.id())
	return found(err)
}

// hasSnapshot reports whether a layer and all below it are unpacked.
func (n *Node) hasSnapshot(ctx context.Context, chain string) (bool, error) {
	info, err := n.containerd.SnapshotService(snapshotter).Stat(ctx, chain)
	if ok, err := found(err); !ok {
		return false, err
	}
	return info.Kind == snapshots.KindCommitted, nil
}

// found tells that something isn't there from that it couldn't be found out.
func found(err error) (bool, error) {
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}
