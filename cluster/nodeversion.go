package cluster

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// roleLook is the role of the container that NodeImageVersion looks into an image with.
const roleLook = "node-image-version"

// NodeImageVersion reads which Kubernetes a node image has. The image must be in the engine.
func NodeImageVersion(ctx context.Context, docker client.APIClient, image string) (string, error) {
	if err := sweepLooks(ctx, docker); err != nil {
		return "", err
	}
	// A container that is never started: kind's images say it in a file, not in a label.
	made, err := docker.ContainerCreate(ctx, &container.Config{
		Image: image, Cmd: []string{"true"}, Labels: map[string]string{engine.LabelRole: roleLook},
	}, nil, nil, nil, "")
	if err != nil {
		return "", fmt.Errorf("look into node image %s: %w", image, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		if err := removeLook(ctx, docker, made.ID); err != nil {
			slog.WarnContext(ctx, "a container stays until the next look into a node image", "err", err)
		}
	}()
	r, _, err := docker.CopyFromContainer(ctx, made.ID, "/kind/version")
	if err != nil {
		return "", fmt.Errorf("read Kubernetes version of node image %s: %w", image, err)
	}
	defer r.Close()
	t := tar.NewReader(r)
	if _, err := t.Next(); err != nil {
		return "", fmt.Errorf("read Kubernetes version of node image %s: %w", image, err)
	}
	b, err := io.ReadAll(io.LimitReader(t, 64))
	if err != nil {
		return "", fmt.Errorf("read Kubernetes version of node image %s: %w", image, err)
	}
	v := trimVersion(b)
	if v == "" {
		return "", errors.New("node image " + image + " doesn't say its Kubernetes version")
	}
	return v, nil
}

// sweepLooks removes containers that killed processes left. One that is minutes old isn't used any more.
func sweepLooks(ctx context.Context, docker client.APIClient) error {
	left, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", engine.LabelRole+"="+roleLook))})
	if err != nil {
		return fmt.Errorf("list containers that looked into node images: %w", err)
	}
	for _, c := range left {
		if time.Since(time.Unix(c.Created, 0)) < 5*time.Minute {
			continue
		}
		if err := removeLook(ctx, docker, c.ID); err != nil {
			return err
		}
	}
	return nil
}

func removeLook(ctx context.Context, docker client.APIClient, id string) error {
	err := docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // conflict: its removal is under way
		return fmt.Errorf("remove a container that looked into a node image: %w", err)
	}
	return nil
}
