package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/image"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// kindLoad is the peer's way of loading an image: kind's own command.
func (b *bench) kindLoad(ctx context.Context, image string) error {
	_, err := command{argv: []string{b.kind, "load", "docker-image", image, "--name", cluster.Name(sandboxName)}}.run(ctx)
	return err
}

// kindCreate makes the peer's cluster, from the node image and settings of the sandbox's own, on its network: its
// configuration is in the state folder, and what that mounts too. The sandbox must be stopped.
func (b *bench) kindCreate(ctx context.Context) error {
	_, err := command{
		argv: []string{b.kind, "create", "cluster", "--name", peerCluster,
			"--config", filepath.Join(b.state.Dir, "kind.yaml"), "--kubeconfig", filepath.Join(b.scratch, "peer-kubeconfig")},
		env: []string{"KIND_EXPERIMENTAL_DOCKER_NETWORK=" + cluster.NetworkName(sandboxName)},
	}.run(ctx)
	return err
}

// deletePeer removes the peer's cluster, if there is one.
func (b *bench) deletePeer(ctx context.Context) error {
	_, err := command{argv: []string{b.kind, "delete", "cluster", "--name", peerCluster,
		"--kubeconfig", filepath.Join(b.scratch, "peer-kubeconfig")}}.run(ctx)
	return err
}

// dockerBuild is `docker build`. The image carries the sandbox's label, so that a purge removes it.
func dockerBuild(ctx context.Context, dir, tag string) error {
	_, err := command{argv: []string{"docker", "build", "-q", "--label", engine.LabelSandbox + "=" + sandboxName, "-t", tag, dir}}.run(ctx)
	return err
}

// borrow lets a row take a name in the engine that may be somebody's own: what stood under it comes back with the
// returned function.
func (b *bench) borrow(ctx context.Context, ref string) (giveBack func(context.Context) error, err error) {
	before, err := b.docker.ImageInspect(ctx, ref)
	if err == nil {
		return func(ctx context.Context) error { return b.docker.ImageTag(ctx, before.ID, ref) }, nil
	}
	if !errdefs.IsNotFound(err) {
		return nil, err
	}
	return func(ctx context.Context) error {
		if _, err := b.docker.ImageRemove(ctx, ref, image.RemoveOptions{}); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove image %s: %w", ref, err)
		}
		return nil
	}, nil
}

// contextFolder makes an empty folder for a docker build, with a Dockerfile.
func (b *bench) contextFolder(name, dockerfile string) (string, error) {
	dir := filepath.Join(b.scratch, name)
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte(dockerfile), 0o644); err != nil {
		return "", fmt.Errorf("write a Dockerfile: %w", err)
	}
	return dir, nil
}
