package images

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/errdefs"
)

// Bytes returns how much of a node's disk images take: their blobs, and their layers as they are unpacked, those of
// images too that nothing names any more and that containerd hasn't collected yet.
func (n *Node) Bytes(ctx context.Context) (int64, error) {
	ctx = inNamespace(ctx)
	var sum int64
	err := n.containerd.ContentStore().Walk(ctx, func(blob content.Info) error {
		sum += blob.Size
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("ask the node how much its images take: %w", err)
	}
	unpacked := n.containerd.SnapshotService(snapshotter)
	err = unpacked.Walk(ctx, func(ctx context.Context, s snapshots.Info) error {
		if !strings.HasPrefix(s.Name, "sha256:") { // what containers wrote
			return nil
		}
		usage, err := unpacked.Usage(ctx, s.Name)
		if errdefs.IsNotFound(err) { // collected meanwhile
			return nil
		}
		sum += usage.Size
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("ask the node how much its images take: %w", err)
	}
	return sum, nil
}

// Bytes is the sum of [Node.Bytes] over all nodes.
func (n Nodes) Bytes(ctx context.Context) (int64, error) {
	var sum atomic.Int64
	err := n.Each(ctx, func(ctx context.Context, node *Node) error {
		bytes, err := node.Bytes(ctx)
		sum.Add(bytes)
		return err
	})
	return sum.Load(), err
}
