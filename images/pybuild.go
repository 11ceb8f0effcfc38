package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

	labelPrefix = "dev.dynsandbox." // of all of them, and of the engine package's
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
	path, original, err := b.dockerfile(svc)
	if err != nil {
		return nil, err
	}
	from := sources{pip: pip}
	dockerfile, base, err := rewriteDockerfile(ctx, original, func(ctx context.Context, ref string) (string, error) {
		c, err := b.Bases.Resolve(ctx, ref)
		from.images = append(from.images, c.ID)
		return c.Ref, err
	}, pipMounts(pip))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	from.base = base
	if err := os.MkdirAll(b.dir(), 0o755); err != nil {
		return nil, err
	}
	lib, err := b.library(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("python library: %w", err)
	}
	dir, remove, err := sharedScratchDir(ctx, b.dir(), "context-")
	if err != nil {
		return nil, err
	}
	defer remove()
	args, err := b.fillContext(dir, svc, dockerfile, lib)
	if err != nil {
		return nil, fmt.Errorf("prepare the build's context: %w", err)
	}
	inputs, err := treeHash(dir, from.salt(fmt.Sprint(args))...)
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

// sources are what a build's result depends on beside the files in its context.
type sources struct {
	base   string   // the image that the services' packages are installed in
	images []string // IDs of all images that the Dockerfile names
	pip    pipSettings
}

// salt is what a hash of a build's inputs takes in of them. The certificates are not in it: they decide whether a
// package can be had, not which.
func (s sources) salt(args ...string) []string {
	return slices.Concat([]string{fmt.Sprint(builderRevision), s.pip.config}, args, s.images)
}

// dockerfile reads the one that all Python services share, else the service's own. path is relative to the workspace.
func (b *PythonBuilder) dockerfile(svc Service) (path string, content []byte, err error) {
	for _, path = range []string{"python/Dockerfile", svc.Dir + "/Dockerfile"} {
		content, err = os.ReadFile(filepath.Join(b.Workspace, path))
		if !errors.Is(err, os.ErrNotExist) {
			break
		}
	}
	return path, content, err
}

// fillContext copies into dir what a service's build reads, and returns the build's arguments.
func (b *PythonBuilder) fillContext(dir string, svc Service, dockerfile []byte, lib library) (map[string]string, error) {
	if err := copyTree(filepath.Join(b.Workspace, svc.Dir), dir); err != nil {
		return nil, err
	}
	args := map[string]string{
		"NAME": svc.Name,
		// For Dockerfiles that keep pip's cache out of their image: here it is a mount, which is in no image anyway.
		"PIP_NO_CACHE_DIR": "",
	}
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
	workspace, err := pathHash(b.Workspace)
	if err != nil {
		return "", err
	}
	tag := fmt.Sprintf(ourNames+"built-%s:%s", strings.ToLower(svc.Name), workspace)
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

// pathHash tells folders apart by where they are.
func pathHash(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return hex.EncodeToString(sum[:6]), nil
}
