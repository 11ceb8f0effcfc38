package images

import (
	"context"
	"fmt"
	"slices"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// nodeLoad is a load's part that concerns one node.
type nodeLoad struct {
	node   *Node
	images []named          // that the node hasn't, whole, under their names
	lacks  map[v1.Hash]bool // what has to be sent
	lease  leases.Lease     // keeps what is there, and what arrives, from being collected before it is named
	err    error            // why the node is left out from then on
}

// leaseTime is after how long containerd takes what arrived from a load that was killed for unused.
const leaseTime = time.Hour

// cleanupTime limits what is done after a load. It doesn't run on the load's own context, which may be done.
const cleanupTime = 15 * time.Second

// wants reports whether an image is to be brought to the node.
func (l *nodeLoad) wants(img named) bool {
	return slices.ContainsFunc(l.images, func(n named) bool { return n.ref == img.ref })
}

// begin finds out what the node lacks, and has it keep what it has of the images.
func (l *nodeLoad) begin(ctx context.Context, all []named) error {
	for _, img := range all {
		if ok, err := l.node.has(ctx, img); err != nil {
			return fmt.Errorf("ask the node for %s: %w", img.ref, err)
		} else if !ok {
			l.images = append(l.images, img)
		}
	}
	if len(l.images) == 0 {
		return nil
	}
	var err error
	if l.lease, err = l.node.containerd.LeasesService().Create(ctx, leases.WithRandomID(), leases.WithExpiration(leaseTime)); err != nil {
		return fmt.Errorf("ask the node to keep what is loaded: %w", err)
	}
	l.lacks = map[v1.Hash]bool{}
	for _, img := range l.images {
		if err := l.compare(ctx, img.parts); err != nil {
			return fmt.Errorf("ask the node for the layers of %s: %w", img.ref, err)
		}
	}
	return nil
}

// compare notes what the node lacks of an image: neither a layer's content nor what it unpacks to is there.
func (l *nodeLoad) compare(ctx context.Context, p parts) error {
	missing := p.contents()
	for i := len(p.chains); i > 0; i-- {
		chain := p.chains[i-1]
		held, err := l.hold(ctx, "snapshots/"+snapshotter, chain, func() (bool, error) { return l.node.hasSnapshot(ctx, chain) })
		if err != nil {
			return err
		}
		if held { // and those below it, on which it stands
			missing = missing[i:]
			break
		}
	}
	for _, b := range missing {
		held, err := l.hold(ctx, "content", b.digest.String(), func() (bool, error) { return l.node.hasContent(ctx, b) })
		if err != nil {
			return err
		}
		if !held {
			l.lacks[b.digest] = true
		}
	}
	return nil
}

// hold has the node keep something if it is there. It is looked at once more then: it may have been collected before.
func (l *nodeLoad) hold(ctx context.Context, kind, id string, there func() (bool, error)) (bool, error) {
	if ok, err := there(); !ok {
		return false, err
	}
	if err := l.node.containerd.LeasesService().AddResource(ctx, l.lease, leases.Resource{ID: id, Type: kind}); err != nil {
		return false, err
	}
	return there()
}

// finish unpacks and names what has arrived, and returns the IDs of old images that it removed.
func (l *nodeLoad) finish(ctx context.Context) (removed []string, err error) {
	if len(l.images) == 0 {
		return nil, nil
	}
	ctx = leases.WithLease(ctx, l.lease.ID)
	for _, n := range l.images {
		img := images.Image{Name: n.ref, Target: n.parts.descriptor()}
		if err := containerd.NewImageWithPlatform(l.node.containerd, img, platforms.All).Unpack(ctx, snapshotter); err != nil {
			return nil, fmt.Errorf("unpack %s on the node: %w", n.ref, err)
		}
		// Another tool may have brought the manifest, and left it without.
		children := content.Info{Digest: n.parts.manifest.id(), Labels: n.parts.children()}
		var paths []string
		for label := range children.Labels {
			paths = append(paths, "labels."+label)
		}
		if _, err := l.node.containerd.ContentStore().Update(ctx, children, paths...); err != nil {
			return nil, fmt.Errorf("keep %s on the node: %w", n.ref, err)
		}
	}
	for _, n := range l.images { // when all are there
		if err := l.node.name(ctx, images.Image{Name: n.ref, Target: n.parts.descriptor()}, n.parts.config.digest.String()); err != nil {
			return nil, err
		}
	}
	if removed, err = l.node.removeOldIDs(ctx); err != nil {
		return nil, nil // what was loaded runs all the same, and the next load tries again
	}
	return removed, nil
}

// end lets containerd collect what arrived and was not named. What can't be told so ends by itself, after leaseTime.
func (l *nodeLoad) end(ctx context.Context) {
	if l.lease.ID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	l.node.containerd.LeasesService().Delete(ctx, l.lease) //nolint:errcheck // see above
}
