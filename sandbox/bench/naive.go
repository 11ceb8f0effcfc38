package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/dynsandbox/dynsandbox/images"
)

// naiveGo compares a save with the way without a sandbox: go build, docker build, kind load, rollout restart, until the
// new code answers. Only the one Deployment that is asked is restarted, though all agents run the image: less than
// whoever goes this way has to wait for.
func naiveGo(ctx context.Context, b *bench, n int) (s samples, err error) {
	const ref = "dynamos1/" + goService + ":main" // as the Deployment names it
	giveBack, err := b.borrow(ctx, ref)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, giveBack(context.WithoutCancel(ctx))) }()
	dir, err := b.contextFolder("naive-go", "FROM scratch\nCOPY tmp /tmp\nCOPY "+goService+" /app/"+goService+
		"\nENV PATH=/app\nWORKDIR /app\nCMD [\"/app/"+goService+"\"]\n")
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "tmp"), 0o755)
	}
	if err != nil {
		return s, err
	}
	return b.compareGo(ctx, n, "loaded", func(ctx context.Context, file source) (float64, error) {
		return b.naiveGoOnce(ctx, file, dir, ref)
	})
}

func (b *bench) naiveGoOnce(ctx context.Context, file source, dir, ref string) (seconds float64, err error) {
	entry, err := b.entry(ctx)
	if err != nil {
		return 0, err
	}
	marker := newMarker()
	return timed(func() error {
		overlay, err := b.overlay(file, marker)
		if err != nil {
			return err
		}
		if err := b.goBuild(ctx, filepath.Join(dir, goService), "-overlay", overlay); err != nil {
			return err
		}
		if err := dockerBuild(ctx, dir, ref); err != nil {
			return err
		}
		if err := b.kindLoad(ctx, ref); err != nil {
			return err
		}
		for _, verb := range []string{"restart", "status"} {
			if _, err := b.dynsandbox(ctx, "kubectl", "rollout", verb, "deployment/"+goAgent, "-n", goAgent); err != nil {
				return err
			}
		}
		return pollAnswer(ctx, entry, marker)
	})
}

// overlay has the compiler read another file instead, with a marker: a save would have the sandbox build it.
func (b *bench) overlay(file source, marker string) (path string, err error) {
	edited := filepath.Join(b.scratch, "edited.go")
	path = filepath.Join(b.scratch, "overlay.json")
	instead, err := json.Marshal(map[string]any{"Replace": map[string]string{file.path: edited}})
	if err != nil {
		return "", err
	}
	return path, errors.Join(os.WriteFile(edited, file.edited(marker), 0o644), os.WriteFile(path, instead, 0o644))
}

// naivePython compares a save with docker build and kind load until the node has the image; Jobs need no restart. The
// docker build is one of which all steps but the last, the copying of the sources, are cached.
func naivePython(ctx context.Context, b *bench, n int) (s samples, err error) {
	const ref = "dynamos1/" + pythonService + ":main"
	if err := b.ready(ctx); err != nil {
		return s, err
	}
	base, err := b.pythonBase(ctx)
	if err != nil {
		return s, err
	}
	giveBack, err := b.borrow(ctx, ref)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, giveBack(context.WithoutCancel(ctx))) }()
	dir, err := b.contextFolder("naive-python", "FROM "+base+
		// Nobody should take it for what the sandbox has built.
		"\nLABEL "+images.LabelInputs+"=none "+images.LabelService+"=none\nCOPY *.py /app/"+pythonService+"/\n")
	if err != nil {
		return s, err
	}
	sources, err := filepath.Glob(filepath.Join(b.workspace, pythonDir, "*.py"))
	if err != nil {
		return s, err
	}
	for _, path := range sources {
		if err := copyFile(path, filepath.Join(dir, filepath.Base(path))); err != nil {
			return s, err
		}
	}
	file, err := openSource(filepath.Join(dir, pythonFile), pythonText)
	if err != nil {
		return s, err
	}
	return b.comparePython(ctx, n, func(ctx context.Context) (float64, error) {
		return timed(func() error {
			if err := file.save(newMarker()); err != nil {
				return err
			}
			if err := dockerBuild(ctx, dir, ref); err != nil {
				return err
			}
			return b.kindLoad(ctx, ref)
		})
	})
}

// pythonBase is the name of the engine's image that the one on the node was made from.
func (b *bench) pythonBase(ctx context.Context) (ref string, err error) {
	have, err := b.nodeLayers(ctx)
	if err != nil {
		return "", err
	}
	built, err := b.docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", images.LabelService+"="+pythonService))})
	if err != nil {
		return "", fmt.Errorf("list images: %w", err)
	}
	for _, i := range built {
		info, err := b.docker.ImageInspect(ctx, i.ID)
		if err != nil {
			return "", fmt.Errorf("inspect image %s: %w", i.ID, err)
		}
		if n := len(info.RootFS.Layers); n <= len(have) && slices.Equal(info.RootFS.Layers, have[:n]) && len(info.RepoTags) > 0 {
			return info.RepoTags[0], nil
		}
	}
	return "", fmt.Errorf("none of the engine's images is what %s on the node was made from", pythonRef)
}
