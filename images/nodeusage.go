package images

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
)

// usageScript prints the size of every snapshot, and that of every blob. Either command fails over what containerd collects
// while it looks.
var usageScript = strings.NewReplacer("NS", namespace, "SN", snapshotter).Replace(`set -e
usage() { ctr -n NS snapshots --snapshotter SN usage -b; }
usage || usage || usage
find /var/lib/containerd/io.containerd.content.v1.content/blobs -type f -printf 'blob %s\n' || true`)

// NodeBytes returns how much of a node's disk images take: their blobs, and their layers as they are unpacked, those of
// images too that nothing names any more and that containerd hasn't collected yet.
func NodeBytes(ctx context.Context, node Node) (int64, error) {
	out, err := node.Exec(ctx, nil, "sh", "-c", usageScript)
	if err != nil {
		return 0, fmt.Errorf("ask the node how much its images take: %w", err)
	}
	return parseUsage(string(out))
}

func parseUsage(out string) (sum int64, err error) {
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		// Snapshots with other names are what containers wrote.
		if len(f) < 2 || f[0] != "blob" && !strings.HasPrefix(f[0], "sha256:") {
			continue
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("ask the node how much its images take: unexpected output %q", strings.TrimSpace(line))
		}
		sum += size
	}
	return sum, nil
}

// Bytes is the sum of [NodeBytes] over all nodes.
func (n Nodes) Bytes(ctx context.Context) (int64, error) {
	var sum atomic.Int64
	err := n.Each(ctx, func(ctx context.Context, node Node) error {
		bytes, err := NodeBytes(ctx, node)
		sum.Add(bytes)
		return err
	})
	return sum.Load(), err
}
