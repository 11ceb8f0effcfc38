package images

import (
	"context"
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
	LabelSources   = "dev.dynsandbox.sources"   // the same without where packages came from: equal on every machine
	LabelService   = "dev.dynsandbox.service"   // the service's name
	LabelWorkspace = "dev.dynsandbox.workspace" // hash of the workspace's path

	labelPrefix = "dev.dynsandbox." // of all of them, and of the engine package's
)

// DockerfileBuilder builds services of any language with the engine's BuildKit, from a Dockerfile in the service's folder
// and a context like the one that the workspace's Makefile prepares. The workspace is not written to.
//
// An image that the engine has from the same inputs is not built again. Keep one value for a workspace: it remembers
// files' digests, and pip's settings, which take half a second to read.
type DockerfileBuilder struct {
	Workspace string
	Cache     string // folder for contexts, wheels and layers
	Docker    client.APIClient
	Bases     *ThirdParty       // finds what FROM names; when it is offline, a build's steps get no network either
	Args      map[string]string // of the build, beside those that the workspace's Makefile gives

	memory buildMemory
}

// Build builds one service: several are built by a [Limited].
func (b *DockerfileBuilder) Build(ctx context.Context, svc Service) (v1.Image, error) {
	in, err := b.inputs(ctx, svc)
	if err != nil {
		return nil, err
	}
	return b.carryOut(ctx, svc, in, func(buildInputs, keptImage) error { return nil })
}

// inputs finds what goes into a service's image.
func (b *DockerfileBuilder) inputs(ctx context.Context, svc Service) (buildInputs, error) {
	in, content, err := b.fromDockerfile(ctx, svc, svc.Dir+"/Dockerfile")
	if err != nil {
		return in, err
	}
	if err := b.fillContext(in.context, svc); err != nil {
		return in, fmt.Errorf("look through the sources: %w", err)
	}
	// What is left out of the context must not show in the inputs; what says so must.
	seen, err := in.context.withoutIgnored()
	if err != nil {
		return in, err
	}
	for _, name := range ignoreFiles {
		if f, ok := in.context[name]; ok {
			seen[name] = f
		}
	}
	in.context = seen
	in.context.addContent(content, "Dockerfile")
	return in, nil
}

// fillContext lists the files that a service's build reads. For a Go service the Makefile copies the module's own files
// and its packages to the service's folder.
func (b *DockerfileBuilder) fillContext(t contextTree, svc Service) error {
	known, folder := &b.memory.files, filepath.Join(b.Workspace, filepath.FromSlash(svc.Dir))
	skip, err := leftOut(b.Workspace, svc)
	if err != nil {
		return err
	}
	if err := t.addFolderBut(known, folder, ".", skip); err != nil {
		return err
	}
	if !within(svc.Dir, goCommands) {
		return nil
	}
	for _, file := range moduleFiles {
		err := t.addFile(known, filepath.Join(b.Workspace, "go", file), file)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	err = t.addFolderBut(known, filepath.Join(b.Workspace, "go", "pkg"), "pkg", skipInModule)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// carryOut has the engine carry out a Dockerfile, unless it has an image of the same inputs. note is told what was built,
// while its context can still be read.
func (b *DockerfileBuilder) carryOut(ctx context.Context, svc Service, in buildInputs, note func(buildInputs, keptImage) error) (v1.Image, error) {
	id, err := b.find(ctx, in)
	if err != nil {
		return nil, err
	}
	if id == "" {
		contexts := filepath.Join(b.Cache, "contexts")
		if err := os.MkdirAll(contexts, 0o755); err != nil {
			return nil, err
		}
		dir, remove, err := sharedScratchDir(ctx, contexts, "context-")
		if err != nil {
			return nil, err
		}
		defer remove()
		if err := in.context.write(dir); err != nil {
			return nil, fmt.Errorf("prepare the build's context: %w", err)
		}
		// What is there now is what is built: a file may have been changed since it was looked at.
		in.context = contextTree{}
		if err := in.context.addFolderBut(nil, dir, ".", func(string) bool { return false }); err != nil {
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
	if err := note(in, kept); err != nil {
		return nil, fmt.Errorf("note what was built: %w", err)
	}
	return kept.image(b.Cache)
}

// find returns the ID of an image in the engine that was built from the same inputs; "" when there is none. Offline it
// doesn't matter where the packages of an earlier build came from, so that one of another machine will do.
func (b *DockerfileBuilder) find(ctx context.Context, in buildInputs) (string, error) {
	labels := []string{LabelInputs + "=" + in.hash()}
	if b.Bases.Offline {
		labels = append(labels, LabelSources+"="+in.anywhere())
	}
	for _, label := range labels {
		list, err := b.Docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", label))})
		if err != nil {
			return "", fmt.Errorf("look for an earlier build: %w", err)
		}
		if len(list) > 0 {
			return list[0].ID, nil
		}
	}
	return "", nil
}

// run builds an image, and removes the one that it takes the place of.
func (b *DockerfileBuilder) run(ctx context.Context, svc Service, dir string, in buildInputs) (string, error) {
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
		what: svc.Name, context: dir, dockerfile: dir, args: in.args, secrets: in.from.pip.secrets(), tag: tag, offline: b.Bases.Offline,
		labels: map[string]string{
			engine.LabelRole: "service", LabelInputs: in.hash(), LabelSources: in.anywhere(), LabelService: svc.Name, LabelWorkspace: workspace,
		},
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
