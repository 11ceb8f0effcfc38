package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// Labels of images that were built here, beside the engine package's.
const (
	LabelInputs    = "dev.dynsandbox.inputs"    // hash of everything that went into the image
	LabelService   = "dev.dynsandbox.service"   // the service's name
	LabelWorkspace = "dev.dynsandbox.workspace" // hash of the workspace's path
)

// PythonBuilder builds Python services with the engine's BuildKit, from the workspace's own python/Dockerfile and a
// context like the one that the workspace's Makefile prepares. The workspace is not written to.
//
// An image that the engine has from the same inputs is not built again.
type PythonBuilder struct {
	Workspace string
	Cache     string // folder for wheels and layers
	Docker    client.APIClient
	Bases     *ThirdParty // finds what FROM names
}

var _ Builder = (*PythonBuilder)(nil)

// Build builds one service.
func (b *PythonBuilder) Build(ctx context.Context, svc Service) (v1.Image, error) {
	img, err := b.build(ctx, svc)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", svc.Name, err)
	}
	return img, nil
}

func (b *PythonBuilder) build(ctx context.Context, svc Service) (v1.Image, error) {
	pip, err := hostPipSettings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the machine's pip settings: %w", err)
	}
	original, err := b.dockerfile(svc)
	if err != nil {
		return nil, err
	}
	var bases []Choice
	dockerfile, err := rewriteDockerfile(ctx, original, func(ctx context.Context, ref string) (string, error) {
		c, err := b.Bases.Resolve(ctx, ref)
		bases = append(bases, c)
		return c.Ref, err
	}, pipMounts(pip))
	if err != nil {
		return nil, fmt.Errorf("python/Dockerfile: %w", err)
	}
	if err := os.MkdirAll(b.dir(), 0o755); err != nil {
		return nil, err
	}
	lib, err := b.library(ctx, bases, pip)
	if err != nil {
		return nil, fmt.Errorf("python library: %w", err)
	}
	dir, err := os.MkdirTemp(b.dir(), "context-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	args, err := b.fillContext(dir, svc, dockerfile, lib)
	if err != nil {
		return nil, fmt.Errorf("prepare the build's context: %w", err)
	}
	inputs, err := treeHash(dir, buildSalt(bases, pip, fmt.Sprint(args))...)
	if err != nil {
		return nil, err
	}
	id, err := b.find(ctx, inputs)
	if err != nil {
		return nil, err
	}
	if id == "" {
		if id, err = b.run(ctx, svc, dir, args, inputs, pip); err != nil {
			return nil, err
		}
	}
	return engineImage(ctx, b.Docker, b.Cache, id)
}

func (b *PythonBuilder) dir() string { return filepath.Join(b.Cache, "python") }

// buildSalt is what changes a build's result beside the files in its context.
func buildSalt(bases []Choice, pip pipSettings, args ...string) []string {
	salt := append([]string{pip.config}, args...)
	for _, c := range bases {
		salt = append(salt, c.ID)
	}
	return salt
}

// dockerfile reads the one that all Python services share, else the service's own.
func (b *PythonBuilder) dockerfile(svc Service) ([]byte, error) {
	shared, err := os.ReadFile(filepath.Join(b.Workspace, "python", "Dockerfile"))
	if errors.Is(err, os.ErrNotExist) {
		return os.ReadFile(filepath.Join(b.Workspace, svc.Dir, "Dockerfile"))
	}
	return shared, err
}

// fillContext copies into dir what a service's build reads, and returns the build's arguments.
func (b *PythonBuilder) fillContext(dir string, svc Service, dockerfile []byte, lib library) (map[string]string, error) {
	if err := copyTree(filepath.Join(b.Workspace, svc.Dir), dir); err != nil {
		return nil, err
	}
	args := map[string]string{"NAME": svc.Name}
	if lib.wheel != "" {
		args["WHEEL_NAME"] = filepath.Base(lib.wheel)
		if err := copyFile(lib.wheel, filepath.Join(dir, args["WHEEL_NAME"])); err != nil {
			return nil, err
		}
	}
	if lib.protofiles != "" {
		if err := copyTree(lib.protofiles, filepath.Join(dir, "protofiles")); err != nil {
			return nil, err
		}
	}
	return args, writeFile(filepath.Join(dir, "Dockerfile"), dockerfile)
}

// find returns the ID of an image in the engine that was built from the same inputs; "" when there is none.
func (b *PythonBuilder) find(ctx context.Context, inputs string) (string, error) {
	list, err := b.Docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", LabelInputs+"="+inputs))})
	if err != nil {
		return "", fmt.Errorf("look for an earlier build: %w", err)
	}
	if len(list) == 0 {
		return "", nil
	}
	return list[0].ID, nil
}

// run builds an image, and removes the one that it takes the place of.
func (b *PythonBuilder) run(ctx context.Context, svc Service, dir string, args map[string]string, inputs string, pip pipSettings) (string, error) {
	workspace, err := workspaceHash(b.Workspace)
	if err != nil {
		return "", err
	}
	tag := fmt.Sprintf("dynsandbox/built-%s:%s", strings.ToLower(svc.Name), workspace)
	before, err := b.Docker.ImageInspect(ctx, tag)
	if err != nil && !errdefs.IsNotFound(err) {
		return "", err
	}
	id, err := buildInEngine(ctx, b.Docker, buildJob{
		what: svc.Name, context: dir, dockerfile: dir, args: args, secrets: pip.secrets(), tag: tag,
		labels: map[string]string{engine.LabelRole: "service", LabelInputs: inputs, LabelService: svc.Name, LabelWorkspace: workspace},
	})
	if err != nil {
		return "", err
	}
	if before.ID != "" && before.ID != id {
		// A container that still runs it keeps it; then it stays, unnamed, for the engine's own collection.
		b.Docker.ImageRemove(ctx, before.ID, image.RemoveOptions{PruneChildren: true}) //nolint:errcheck // see above
	}
	return id, nil
}

// workspaceHash tells workspaces apart by where they are.
func workspaceHash(workspace string) (string, error) {
	abs, err := filepath.Abs(workspace)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return hex.EncodeToString(sum[:6]), nil
}
