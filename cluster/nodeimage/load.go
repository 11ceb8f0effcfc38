package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// assemblySteps are what is done with the parts.
var assemblySteps = []struct {
	what   string
	expect time.Duration
}{{"put the file system together", 5 * time.Second}, {"preload the Pods' images", 8 * time.Second}, {"load it into the engine", 12 * time.Second}}

// assemble makes the image of the finished parts and hands it to the engine.
func (b *Builder) assemble(ctx context.Context, parts cache, steps *steps, ref string) (err error) {
	dir, remove, err := parts.scratch("image")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	var t *tree
	defer func() {
		if t != nil {
			t.Close()
		}
	}()
	for i, do := range []func(context.Context) error{
		func(ctx context.Context) error {
			var err error
			if t, err = b.openTree(ctx, parts, dir); err != nil {
				return err
			}
			return t.fill(ctx)
		},
		func(ctx context.Context) error {
			if err := t.preload(ctx); err != nil {
				return err
			}
			return t.shareHyperkube()
		},
		func(ctx context.Context) error { return t.load(ctx, ref) },
	} {
		s := assemblySteps[i]
		if err := steps.run(ctx, s.what, s.expect, do); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return parts.prune(allParts())
}

// shareHyperkube makes the node's and the Pods' hyperkube one file: a quarter of the image.
func (t *tree) shareHyperkube() error {
	found, err := filepath.Glob(filepath.Join(t.dir, "var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/*/fs/usr/local/bin/hyperkube"))
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("look for hyperkube among the snapshots: %d found, want one", len(found))
	}
	node := filepath.Join(t.dir, "usr/bin/hyperkube")
	if err := os.Remove(node); err != nil {
		return err
	}
	return os.Link(found[0], node)
}

// load hands the tree to the engine as an image of one layer.
func (t *tree) load(ctx context.Context, ref string) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	layer := filepath.Join(filepath.Dir(t.dir), "layer.tar")
	if _, err := t.b.run(ctx, command{dir: t.dir, argv: []string{"tar", "--create", "--file", layer, "--numeric-owner", "--sort=name", "--directory", t.dir, "."}}); err != nil {
		return err
	}
	img, err := oneLayer(func() (io.ReadCloser, error) { return os.Open(layer) }, time.Now().UTC(), v1.Config{
		Entrypoint: []string{"/usr/local/bin/entrypoint", "/sbin/init"},
		Env:        []string{"container=docker", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		StopSignal: "SIGRTMIN+3", // systemd's for "halt"
		Labels:     map[string]string{engine.LabelRole: role, "org.opencontainers.image.version": kubernetesVersion()},
	})
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(tarball.Write(tag, img, w)) }()
	defer r.Close()
	loaded, err := t.b.Docker.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer loaded.Body.Close()
	if err := follow(loaded.Body, func(message) {}); err != nil {
		return err
	}
	if found, err := t.b.inEngine(ctx, ref); err != nil || !found {
		return errors.Join(errors.New("the engine took the image and hasn't got it"), err)
	}
	return nil
}
