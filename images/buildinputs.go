package images

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/docker/docker/api/types/image"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// buildInputs are everything that goes into an image which the engine builds.
type buildInputs struct {
	from    sources
	args    map[string]string // of the build
	context contextTree
	bases   map[string]v1.Config // of the images that the Dockerfile names
}

// sources are what a build's result depends on beside the files in its context.
type sources struct {
	base   string            // the image that the services' packages are installed in
	images map[string]string // identities of all images that the Dockerfile names, by what names them
	chosen []Choice          // these images
	pip    pipSettings
}

// salt is what a hash of a build's inputs takes in of them. The certificates are not in it: they decide whether a
// package can be had, not which.
func (s sources) salt(args ...string) []string {
	ids := slices.Sorted(maps.Values(s.images))
	return slices.Concat([]string{fmt.Sprint(builderRevision), s.pip.config}, args, ids)
}

// hash tells inputs apart.
func (in buildInputs) hash() string { return in.context.hash(in.from.salt(fmt.Sprint(in.args))...) }

// anywhere tells inputs apart on whichever machine they are: it leaves out where that gets its packages.
func (in buildInputs) anywhere() string {
	in.from.pip = pipSettings{}
	return in.hash()
}

// fromDockerfile reads a service's Dockerfile, finds the images that it names, and returns the inputs that follow from it,
// with an empty context, and the copy that is built.
func (b *DockerfileBuilder) fromDockerfile(ctx context.Context, svc Service, path string) (in buildInputs, content []byte, err error) {
	if in.from.pip, err = b.memory.pipSettings(ctx); err != nil {
		return in, nil, fmt.Errorf("read the machine's pip settings: %w", err)
	}
	original, err := os.ReadFile(filepath.Join(b.Workspace, filepath.FromSlash(path)))
	if err != nil {
		return in, nil, err
	}
	in.args = b.buildArgs(svc)
	in.context, in.from.images, in.bases = contextTree{}, map[string]string{}, map[string]v1.Config{}
	content, in.from.base, err = rewriteDockerfile(ctx, original, in.args, func(ctx context.Context, ref string) (string, error) {
		c, err := b.Bases.Resolve(ctx, ref)
		if err != nil {
			return "", err
		}
		in.from.chosen = append(in.from.chosen, c)
		base, err := b.look(ctx, c)
		in.from.images[ref], in.bases[c.Ref] = base.identity, base.config
		return c.Ref, err
	}, pipMounts)
	if err != nil {
		return in, nil, fmt.Errorf("%s: %w", path, err)
	}
	return in, content, nil
}

// buildArgs are the arguments of a service's build.
func (b *DockerfileBuilder) buildArgs(svc Service) map[string]string {
	// For Dockerfiles that keep pip's cache out of their image: here it is a mount, which is in no image anyway.
	args := map[string]string{"PIP_NO_CACHE_DIR": ""}
	maps.Copy(args, b.Args)
	args["NAME"] = svc.Name
	return args
}

// buildMemory is what a builder need not find out twice.
type buildMemory struct {
	files fileHashes

	mu      sync.Mutex
	pip     pipSettings
	pipFrom string               // the state of what pip's settings were read from
	bases   map[string]baseImage // by ID
}

// pipSettings are the machine's, read anew only when they may have changed: pip takes half a second to tell them.
func (m *buildMemory) pipSettings(ctx context.Context) (pipSettings, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	from := pipState()
	if from == m.pipFrom {
		return m.pip, nil
	}
	s, err := hostPipSettings(ctx)
	if err == nil {
		m.pip, m.pipFrom = s, from
	}
	return s, err
}

// baseImage is what a build depends on of an image that it begins with.
type baseImage struct {
	identity string
	config   v1.Config
}

// look inspects an image of the engine.
func (b *DockerfileBuilder) look(ctx context.Context, c Choice) (baseImage, error) {
	b.memory.mu.Lock()
	known, ok := b.memory.bases[c.ID]
	b.memory.mu.Unlock()
	if ok {
		return known, nil
	}
	info, err := b.Docker.ImageInspect(ctx, c.Ref)
	if err != nil {
		return baseImage{}, fmt.Errorf("inspect image %s: %w", c.Ref, err)
	}
	var found baseImage
	if found.config, err = imageConfig(info); err != nil {
		return baseImage{}, fmt.Errorf("image %s: %w", c.Ref, err)
	}
	found.identity = identify(info, found.config)
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	if b.memory.bases == nil {
		b.memory.bases = map[string]baseImage{}
	}
	b.memory.bases[c.ID] = found
	return found, nil
}

// identify tells images apart by what is in them. Their IDs are another thing in every kind of the engine's stores.
func identify(info image.InspectResponse, config v1.Config) string {
	if len(info.RootFS.Layers) == 0 {
		return info.ID
	}
	return textHash(fmt.Sprintf("%q %q %q %q", info.RootFS.Layers, config.Env, config.User, config.WorkingDir))
}
