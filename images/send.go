package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// errSource marks what could not be read to be sent: a layer's file that is gone, or not what it was.
var errSource = errors.New("read what is to be loaded")

// chunk is how much goes to a node before it answers. containerd takes at most 8 MiB at once.
const chunk = 1 << 20

// send brings to all nodes what they lack. Nodes that fail are left out from then on; total is for the progress.
func (l nodeLoads) send(ctx context.Context, all []named, total int64) {
	var done int64
	for _, img := range all {
		report := func(n int64) {
			done += n
			progress.Report(ctx, progress.Update{What: "load " + img.ref, Done: min(done, total), Total: total, Unit: "bytes"})
		}
		for _, b := range img.parts.contents() {
			l.sendBlob(ctx, b, report)
		}
	}
}

// sendBlob brings one piece of content to the nodes that lack it, and reports how much of it went.
func (l nodeLoads) sendBlob(ctx context.Context, b blob, report func(int64)) {
	to := nodeLoads{}
	for name, one := range l {
		if one.err == nil && one.lacks[b.digest] {
			to[name] = one
		}
	}
	if len(to) == 0 {
		return
	}
	var mu sync.Mutex
	writers := map[*nodeLoad]content.Writer{}
	to.each(func(one *nodeLoad) error {
		w, err := one.write(ctx, b)
		if err != nil {
			return fmt.Errorf("send blob %s: %w", b.digest, err)
		}
		mu.Lock()
		defer mu.Unlock()
		writers[one] = w
		return nil
	})
	defer func() {
		for _, w := range writers {
			w.Close()
		}
	}()
	err := b.read(func(p []byte) error {
		to.each(func(one *nodeLoad) error {
			if _, err := writers[one].Write(p); err != nil {
				return fmt.Errorf("send blob %s: %w", b.digest, err)
			}
			return nil
		})
		report(int64(len(p)))
		return to.allFailed()
	})
	to.each(func(one *nodeLoad) error {
		if err == nil {
			err := writers[one].Commit(leases.WithLease(ctx, one.lease.ID), b.size, b.id())
			if err != nil && !errdefs.IsAlreadyExists(err) {
				return fmt.Errorf("send blob %s: %w", b.digest, err)
			}
			delete(one.lacks, b.digest)
			return nil
		}
		return fmt.Errorf("%w: blob %s: %w", errSource, b.digest, err)
	})
}

// write opens a blob for writing on the node.
func (l *nodeLoad) write(ctx context.Context, b blob) (content.Writer, error) {
	// No other load's name for it: what a load leaves that breaks off goes with its lease.
	return content.OpenWriter(leases.WithLease(ctx, l.lease.ID), l.node.containerd.ContentStore(),
		content.WithRef("dynsandbox-"+l.lease.ID+"-"+b.digest.Hex), content.WithDescriptor(ocispec.Descriptor{Size: b.size}))
}

// read gives all of a blob to a function, in pieces.
func (b blob) read(to func([]byte) error) error {
	r, err := b.open()
	if err != nil {
		return err
	}
	defer r.Close()
	buf := make([]byte, min(chunk, max(b.size, 1)))
	for left := b.size; left > 0; {
		n, err := io.ReadFull(r, buf[:min(chunk, left)])
		if err != nil {
			return fmt.Errorf("%d of its %d bytes: %w", b.size-left+int64(n), b.size, err)
		}
		if err := to(buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	if n, err := r.Read(buf[:1]); n > 0 {
		return fmt.Errorf("it has more than its %d bytes", b.size)
	} else if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// allFailed returns an error when no node is left.
func (l nodeLoads) allFailed() error {
	for _, one := range l {
		if one.err == nil {
			return nil
		}
	}
	return errors.New("no node takes it")
}
