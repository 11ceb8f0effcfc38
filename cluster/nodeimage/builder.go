package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	"github.com/gofrs/flock"
	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Repository is the name, without tag, of the images that are built here.
const Repository = "dynsandbox/node"

// Builder finds and builds node images.
type Builder struct {
	Cache  string           // folder of the parts, about 650 MB; safe to delete while no build runs
	Docker client.APIClient // the engine that gets the image

	// Install installs Debian packages. It is asked only for what is missing; where it is nil, what is missing is
	// an error that names the packages.
	Install func(ctx context.Context, debianPackages ...string) error

	Log     io.Writer // gets the output of the tools; nil discards it
	logging sync.Mutex

	patience time.Duration // with registries; 0 is reachable
}

// Ref returns the name of the image that Build makes. Its tag is the Kubernetes version and the hash of all inputs.
func (b *Builder) Ref() string {
	return Repository + ":" + kubernetesVersion() + "-" + inputsHash()[:12]
}

// Build returns the name of the built image, and builds it first unless the engine has it.
//
// Builds that share a cache folder wait for each other. When ctx ends, everything that was started is stopped and
// what isn't a finished part is removed. Errors of tools are *fault.Exec.
func (b *Builder) Build(ctx context.Context) (ref string, err error) {
	ref = b.Ref()
	if found, err := b.inEngine(ctx, ref); err != nil || found {
		return ref, err
	}
	if err := buildable(); err != nil {
		return "", fmt.Errorf("build node image: %w", err)
	}
	unlock, err := b.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if found, err := b.inEngine(ctx, ref); err != nil || found { // by the one we waited for
		return ref, err
	}
	if err := b.build(ctx, ref); err != nil {
		return "", fmt.Errorf("build node image: %w", err)
	}
	return ref, nil
}

// build makes the missing parts and puts them together: the Debian root beside the Go programs, which keep all
// cores busy one after the other.
func (b *Builder) build(ctx context.Context, ref string) error {
	parts, err := openCache(b.Cache)
	if err != nil {
		return err
	}
	missing := parts.missing(allParts())
	if err := b.provide(ctx, missing); err != nil {
		return err
	}
	steps := newSteps(missing)
	outer := ctx // the group's context ends with Wait
	work, ctx := errgroup.WithContext(ctx)
	rootReady := make(chan struct{})
	work.Go(func() error {
		defer close(rootReady)
		return parts.ensure(ctx, b, rootfs)
	})
	work.Go(func() error {
		for _, p := range missing {
			if p.name == rootfs.name {
				continue
			}
			if err := steps.run(ctx, "build "+p.name, onThisMachine(p.expect), func(ctx context.Context) error { return parts.ensure(ctx, b, p) }); err != nil {
				return err
			}
		}
		if parts.has(rootfs) {
			return nil
		}
		steps.of++
		return steps.run(ctx, "unpack Debian packages", rootfs.expect-steps.elapsed(), func(ctx context.Context) error {
			select {
			case <-rootReady:
			case <-ctx.Done():
			}
			return nil // what went wrong there is its own error
		})
	})
	if err := work.Wait(); err != nil {
		return err
	}
	return b.assemble(outer, parts, steps, ref)
}

// inEngine says whether the engine has an image of that name.
func (b *Builder) inEngine(ctx context.Context, ref string) (bool, error) {
	_, err := b.Docker.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for image %s: %w", ref, err)
	}
	return true, nil
}

// lock waits until no other build uses the cache folder.
func (b *Builder) lock(ctx context.Context) (unlock func() error, err error) {
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return nil, fmt.Errorf("create cache of node image parts: %w", err)
	}
	l := flock.New(filepath.Join(b.Cache, "lock"))
	got, err := l.TryLock()
	if err == nil && !got {
		progress.Report(ctx, progress.Update{What: "node image: wait for another build of it"})
		_, err = l.TryLockContext(ctx, 500*time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("lock cache of node image parts: %w", err)
	}
	return l.Unlock, nil
}

// buildable says why this process couldn't build an image, before anything is begun.
func buildable() error {
	switch {
	case runtime.GOOS != "linux":
		return errors.New("that is possible on Linux only; use an engine that can pull kind's node image")
	case os.Geteuid() != 0:
		return errors.New("that takes root (device nodes, chroot); run it once as root, or pull kind's node image")
	}
	return nil
}
