package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The names are nobody's: the one on the node that we load to, and those of the peer, in the engine too.
var (
	ourBig   = name.MustParseReference("dynsandbox.invalid/bench-ours:latest").(name.Tag)
	bigBase  = name.MustParseReference("dynsandbox.invalid/bench-base:latest").(name.Tag)
	theirBig = name.MustParseReference("dynsandbox.invalid/bench-kind:latest").(name.Tag)
)

// loads compares our load of an image of which one small layer was changed with kind's. Both begin with the finished
// image, where its builder left it: ours in files, kind's in the engine. The node has the other layers already.
func loads(ctx context.Context, b *bench, n int) (s samples, err error) {
	base, err := b.loadedBase(ctx)
	if err != nil {
		return s, err
	}
	if err := b.intoEngine(ctx, base); err != nil {
		return s, err
	}
	dir, err := b.contextFolder("changed", "FROM "+bigBase.String()+"\nCOPY changed /changed\n")
	if err != nil {
		return s, err
	}
	for i := range n + 1 {
		img, err := b.withLayer(base, "changed", changedBytes)
		if err != nil {
			return s, err
		}
		ours, err := timed(func() error {
			_, err := b.node.Load(ctx, map[name.Tag]v1.Image{ourBig: img})
			return err
		})
		if err != nil {
			return s, err
		}
		if err := randomFile(filepath.Join(dir, "changed"), changedBytes); err != nil {
			return s, err
		}
		if err := dockerBuild(ctx, dir, theirBig.String()); err != nil {
			return s, err
		}
		peer, err := timed(func() error { return b.kindLoad(ctx, theirBig.String()) })
		if err != nil {
			return s, err
		}
		if i == 0 {
			continue // the engine and the node had to read the large layers from the disk
		}
		s.ours, s.peer = append(s.ours, ours), append(s.peer, peer)
	}
	return s, nil
}

// bytesSent compares what goes through the connection to the node, questions and all, with the changed layer's tar.
func bytesSent(ctx context.Context, b *bench, n int) (s samples, err error) {
	base, err := b.loadedBase(ctx)
	if err != nil {
		return s, err
	}
	for range n {
		img, err := b.withLayer(base, "changed", changedBytes)
		if err != nil {
			return s, err
		}
		layers, err := img.Layers()
		if err != nil {
			return s, err
		}
		size, err := layers[len(layers)-1].Size()
		if err != nil {
			return s, err
		}
		before := b.sent.Load()
		if _, err := b.node.Load(ctx, map[name.Tag]v1.Image{ourBig: img}); err != nil {
			return s, err
		}
		s.ours, s.peer = append(s.ours, float64(b.sent.Load()-before)/1e6), append(s.peer, float64(size)/1e6)
	}
	return s, nil
}

// loadedBase makes the large image and loads it, once for all rows that want it.
func (b *bench) loadedBase(ctx context.Context) (v1.Image, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	if b.big != nil {
		return b.big, nil
	}
	base, err := b.bigImage()
	if err != nil {
		return nil, err
	}
	if _, err := b.node.Load(ctx, map[name.Tag]v1.Image{bigBase: base}); err != nil {
		return nil, err
	}
	b.big = base
	return base, nil
}

// intoEngine gives an image to the engine, as `docker load` does.
func (b *bench) intoEngine(ctx context.Context, img v1.Image) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(tarball.Write(bigBase, img, w)) }()
	defer r.Close()
	if _, err := (command{argv: []string{"docker", "load", "-q"}, stdin: r}).run(ctx); err != nil {
		return fmt.Errorf("load the large image into the engine: %w", err)
	}
	return nil
}

func randomFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.CopyN(f, rand.Reader, size)
	return err
}
