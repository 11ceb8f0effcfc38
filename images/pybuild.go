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
	"github.com/dynsandbox/dynsandbox/internal/progress"
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
// An image that the engine has from the same inputs is not built again. Where only sources were changed that nothing but
// COPYs of the Dockerfile read, the engine isn't asked to build at all: one layer takes them to the image that it built
// before, always to that one, so that layers don't pile up. Keep one value for a workspace: it remembers files'
// digests, and pip's settings, which take half a second to read.
type PythonBuilder struct {
	Workspace string
	Cache     string // folder for wheels and layers
	Docker    client.APIClient
	Bases     *ThirdParty // finds what FROM names

	memory pythonMemory
}

var _ Builder = (*PythonBuilder)(nil)

// Build builds one service.
func (b *PythonBuilder) Build(ctx context.Context, svc Service) (v1.Image, error) {
	img, err := b.build(ctx, svc)
	for range 2 { // somebody is still writing
		if errors.Is(err, errChanging) {
			img, err = b.build(ctx, svc)
		}
	}
	return img, err
}

func (b *PythonBuilder) build(ctx context.Context, svc Service) (v1.Image, error) {
	if err := os.MkdirAll(b.builtDir(), 0o755); err != nil {
		return nil, err
	}
	in, err := b.inputs(ctx, svc)
	if err != nil {
		return nil, err
	}
	img, reason, err := b.withLayer(ctx, svc, in)
	if err != nil || img != nil {
		return img, err
	}
	progress.Report(ctx, progress.Update{What: "build " + svc.Name + ": " + reason})
	return b.withEngine(ctx, svc, in)
}

// withEngine has the engine carry out the Dockerfile, unless it has an image of the same inputs.
func (b *PythonBuilder) withEngine(ctx context.Context, svc Service, in pythonInputs) (v1.Image, error) {
	id, err := b.find(ctx, in.hash())
	if err != nil {
		return nil, err
	}
	if id == "" {
		dir, remove, err := sharedScratchDir(ctx, b.dir(), "context-")
		if err != nil {
			return nil, err
		}
		defer remove()
		if err := in.context.write(dir); err != nil {
			return nil, fmt.Errorf("prepare the build's context: %w", err)
		}
		// What is there now is what is built: a file may have been changed since it was looked at.
		in.context = contextTree{}
		if err := in.context.addFolder(nil, dir, "."); err != nil {
			return nil, err
		}
		if id, err = b.run(ctx, svc, dir, in); err != nil {
			return nil, err
		}
	}
	kept, err := readEngineImage(ctx, b.Docker, b.Cache, id)
	if err != nil {
		return nil, err
	}
	if err := b.keepBase(svc, in, kept); err != nil {
		return nil, fmt.Errorf("note what was built: %w", err)
	}
	return kept.image(b.Cache)
}

func (b *PythonBuilder) dir() string { return filepath.Join(b.Cache, "python") }

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
func (b *PythonBuilder) run(ctx context.Context, svc Service, dir string, in pythonInputs) (string, error) {
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
		what: svc.Name, context: dir, dockerfile: dir, args: in.args, secrets: in.from.pip.secrets(), tag: tag,
		labels: map[string]string{engine.LabelRole: "service", LabelInputs: in.hash(), LabelService: svc.Name, LabelWorkspace: workspace},
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
