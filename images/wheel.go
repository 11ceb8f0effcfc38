package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// labelCache is the hash of the path of the cache that something was made for: whoever holds that cache's lock may
// remove it.
const labelCache = labelPrefix + "cache"

// keptWheels is how many states of libraries are kept: workspaces that share the cache, and a step back.
const keptWheels = 8

// buildLibrary runs the library's build in the engine, and copies what it made to the folder out, which appears when
// it is whole. Older wheels are removed. The caller holds the library's lock.
func (b *PythonBuilder) buildLibrary(ctx context.Context, dir, out, hash string, pip pipSettings) error {
	cache, err := pathHash(b.Cache)
	if err != nil {
		return err
	}
	labels := map[string]string{engine.LabelRole: "library", labelCache: cache}
	if err := b.removeLabelled(ctx, labels); err != nil {
		return fmt.Errorf("remove what an earlier build left: %w", err)
	}
	id, err := buildInEngine(ctx, b.Docker, buildJob{
		what: "python library", context: dir, dockerfile: dir, secrets: pip.secrets(), tag: ourNames + "built-library:" + hash, labels: labels,
	})
	if err != nil {
		return err
	}
	cleanup := context.WithoutCancel(ctx)
	defer b.Docker.ImageRemove(cleanup, id, image.RemoveOptions{Force: true, PruneChildren: true}) //nolint:errcheck // a few kilobytes
	c, err := b.Docker.ContainerCreate(ctx, &container.Config{Image: id, Labels: labels}, nil, nil, nil, "")
	if err != nil {
		return err
	}
	defer b.Docker.ContainerRemove(cleanup, c.ID, container.RemoveOptions{Force: true}) //nolint:errcheck // it never ran
	stream, _, err := b.Docker.CopyFromContainer(ctx, c.ID, "/out")
	if err != nil {
		return err
	}
	defer stream.Close()
	part := out + ".part"
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := untar(stream, part); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(part, "out"), out); err != nil {
		return err
	}
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	return keepNewest(filepath.Join(b.dir(), "wheel-*"), keptWheels)
}

// removeLabelled removes the engine's containers and images with all of the labels: those of a build that was killed,
// which nobody else holds while the caller has the lock of the cache that the labels name.
func (b *PythonBuilder) removeLabelled(ctx context.Context, labels map[string]string) error {
	with := filters.NewArgs()
	for key, value := range labels {
		with.Add("label", key+"="+value)
	}
	containers, err := b.Docker.ContainerList(ctx, container.ListOptions{All: true, Filters: with})
	if err != nil {
		return err
	}
	for _, c := range containers {
		if err := b.Docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	images, err := b.Docker.ImageList(ctx, image.ListOptions{Filters: with})
	if err != nil {
		return err
	}
	for _, i := range images {
		if _, err := b.Docker.ImageRemove(ctx, i.ID, image.RemoveOptions{Force: true, PruneChildren: true}); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// untar writes the regular files of an archive into a folder.
func untar(r io.Reader, dir string) error {
	return eachFile(r, func(h *tar.Header, content io.Reader) error {
		if !filepath.IsLocal(h.Name) {
			return fmt.Errorf("unexpected path %q in an archive", h.Name)
		}
		path := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, content)
		return errors.Join(err, f.Close())
	})
}
