package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// pythonInputs are everything that goes into a service's image.
type pythonInputs struct {
	from    sources
	args    map[string]string // of the build
	context contextTree
	shared  contextTree // the part of the context that is not from the service's folder
	bases   map[string]v1.Config
}

// sources are what a build's result depends on beside the files in its context.
type sources struct {
	base   string            // the image that the services' packages are installed in
	images map[string]string // IDs of all images that the Dockerfile names, by what names them
	pip    pipSettings
}

// salt is what a hash of a build's inputs takes in of them. The certificates are not in it: they decide whether a
// package can be had, not which.
func (s sources) salt(args ...string) []string {
	ids := slices.Sorted(maps.Values(s.images))
	return slices.Concat([]string{fmt.Sprint(builderRevision), s.pip.config}, args, ids)
}

// hash tells inputs apart.
func (in pythonInputs) hash() string { return in.context.hash(in.from.salt(fmt.Sprint(in.args))...) }

// inputs finds what goes into a service's image, and makes of it what isn't there: a stand-in, the library's wheel.
func (b *PythonBuilder) inputs(ctx context.Context, svc Service) (in pythonInputs, err error) {
	if in.from.pip, err = b.memory.pipSettings(ctx); err != nil {
		return in, fmt.Errorf("read the machine's pip settings: %w", err)
	}
	path, original, err := b.dockerfile(svc)
	if err != nil {
		return in, err
	}
	in.from.images, in.bases = map[string]string{}, map[string]v1.Config{}
	content, base, err := rewriteDockerfile(ctx, original, func(ctx context.Context, ref string) (string, error) {
		c, err := b.Bases.Resolve(ctx, ref)
		if err != nil {
			return "", err
		}
		in.from.images[ref] = c.ID
		in.bases[c.Ref], err = b.config(ctx, c)
		return c.Ref, err
	}, pipMounts(in.from.pip))
	if err != nil {
		return in, fmt.Errorf("%s: %w", path, err)
	}
	in.from.base = base
	lib, err := b.library(ctx, in.from)
	if err != nil {
		return in, fmt.Errorf("python library: %w", err)
	}
	if err := b.fillContext(&in, svc, content, lib); err != nil {
		return in, fmt.Errorf("look through the sources: %w", err)
	}
	return in, nil
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

// fillContext lists the files that a service's build reads, and its arguments.
func (b *PythonBuilder) fillContext(in *pythonInputs, svc Service, dockerfile []byte, lib library) error {
	known := &b.memory.files
	in.context, in.shared = contextTree{}, contextTree{}
	if err := in.context.addFolder(known, filepath.Join(b.Workspace, svc.Dir), "."); err != nil {
		return err
	}
	// For Dockerfiles that keep pip's cache out of their image: here it is a mount, which is in no image anyway.
	in.args = map[string]string{"PIP_NO_CACHE_DIR": ""}
	maps.Copy(in.args, b.Args)
	in.args["NAME"] = svc.Name
	if lib.wheel != "" {
		in.args["WHEEL_NAME"] = filepath.Base(lib.wheel)
		if err := in.shared.addFile(known, lib.wheel, in.args["WHEEL_NAME"]); err != nil {
			return err
		}
	}
	if lib.protofiles != "" {
		if err := in.shared.addFolder(known, lib.protofiles, "protofiles"); err != nil {
			return err
		}
	}
	in.shared.addContent(dockerfile, "Dockerfile")
	maps.Copy(in.context, in.shared)
	return nil
}

// pythonMemory is what a builder need not find out twice.
type pythonMemory struct {
	files fileHashes

	mu      sync.Mutex
	pip     pipSettings
	pipFrom string               // the state of what pip's settings were read from
	configs map[string]v1.Config // of images, by ID
}

// pipSettings are the machine's, read anew only when they may have changed: pip takes half a second to tell them.
func (m *pythonMemory) pipSettings(ctx context.Context) (pipSettings, error) {
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

// config is an image's configuration.
func (b *PythonBuilder) config(ctx context.Context, c Choice) (v1.Config, error) {
	b.memory.mu.Lock()
	config, ok := b.memory.configs[c.ID]
	b.memory.mu.Unlock()
	if ok {
		return config, nil
	}
	info, err := b.Docker.ImageInspect(ctx, c.Ref)
	if err != nil {
		return config, fmt.Errorf("inspect image %s: %w", c.Ref, err)
	}
	if config, err = imageConfig(info); err != nil {
		return config, fmt.Errorf("image %s: %w", c.Ref, err)
	}
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	if b.memory.configs == nil {
		b.memory.configs = map[string]v1.Config{}
	}
	b.memory.configs[c.ID] = config
	return config, nil
}
