package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// bundledRef names a service's image in a bundle, by what it was made of.
func bundledRef(svc Service, sources string) string {
	return fmt.Sprintf(ourNames+"bundled-%s:%s", strings.ToLower(svc.Name), sources[:12])
}

// pack adds the images that the engine has, or now builds, and those that their Dockerfiles name.
func (b *DockerfileBuilder) pack(ctx context.Context, p *Packer, services []Service) error {
	for _, svc := range services {
		in, err := b.inputs(ctx, svc)
		if err != nil {
			return err
		}
		if _, err := b.carryOut(ctx, svc, in, func(buildInputs, keptImage) error { return nil }); err != nil {
			return err
		}
		if err := b.packBuilt(ctx, p, svc, in); err != nil {
			return err
		}
	}
	return nil
}

// packBuilt adds what the engine built of inputs, and the images that it began with.
func (b *DockerfileBuilder) packBuilt(ctx context.Context, p *Packer, svc Service, in buildInputs) error {
	id, err := b.find(ctx, in)
	if err == nil && id == "" {
		err = errChanging
	}
	if err != nil {
		return err
	}
	for _, base := range in.from.chosen {
		progress.Report(ctx, progress.Update{What: "pack " + base.Ref})
		if err := p.AddImage(ctx, BundleImage{Role: RoleBase, Name: base.Wanted, Wanted: base.Wanted, Ref: base.Ref}, base.ID); err != nil {
			return err
		}
	}
	progress.Report(ctx, progress.Update{What: "pack " + svc.Name})
	return p.AddImage(ctx, BundleImage{Role: RoleService, Name: svc.Name, Ref: bundledRef(svc, in.anywhere())}, id)
}

// pack adds the images of just the sources as they are; layers that hold later changes of them are not in the engine.
func (b *PythonBuilder) pack(ctx context.Context, p *Packer, services []Service) error {
	if err := os.MkdirAll(b.builtDir(), 0o755); err != nil {
		return err
	}
	for _, svc := range services {
		in, err := b.inputs(ctx, svc)
		if err != nil {
			return err
		}
		if _, err := b.withEngine(ctx, svc, in); err != nil {
			return err
		}
		if err := b.packBuilt(ctx, p, svc, in.buildInputs); err != nil {
			return err
		}
		at := "python/" + in.lib.anywhere
		if in.lib.dir == "" || slices.ContainsFunc(p.bundle.Files, func(f BundleFile) bool { return strings.HasPrefix(f.Path, at+"/") }) {
			continue
		}
		if err := p.addTree(BundleFile{Role: RoleLibrary, Path: at}, in.lib.dir); err != nil {
			return err
		}
	}
	return nil
}

// pack adds the images that the services' commands leave. What the commands need is not known, so that the images are
// all there is to carry.
func (b *CommandBuilder) pack(ctx context.Context, p *Packer, services []Service) error {
	for _, svc := range services {
		before, err := b.sourcesHash(svc)
		if err != nil {
			return err
		}
		img, err := b.Build(ctx, svc)
		if err != nil {
			return err
		}
		if after, err := b.sourcesHash(svc); err != nil {
			return err
		} else if after != before {
			return fmt.Errorf("%s: files in it were changed while its command ran; what the command writes belongs under ignore in %s", svc.Dir, ServiceFile)
		}
		// It may be in a layout only.
		ref := bundledRef(svc, before)
		if err := loadIntoEngine(ctx, b.Docker, ref, img); err != nil {
			return err
		}
		progress.Report(ctx, progress.Update{What: "pack " + svc.Name})
		if err := p.AddImage(ctx, BundleImage{Role: RoleService, Name: svc.Name, Ref: ref}, ref); err != nil {
			return err
		}
	}
	return nil
}

// lacks says nothing: what a command needs is for the command to tell.
func (b *CommandBuilder) lacks(context.Context, []Service) ([]Lack, error) { return nil, nil }

// bundled returns the image of just these sources that came with a bundle; nil where there is none, or one isn't asked for.
func (b *CommandBuilder) bundled(ctx context.Context, svc Service) (v1.Image, error) {
	if !b.Offline {
		return nil, nil
	}
	sources, err := b.sourcesHash(svc)
	if err != nil {
		return nil, err
	}
	info, err := b.Docker.ImageInspect(ctx, bundledRef(svc, sources))
	if errdefs.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for an image of a bundle: %w", err)
	}
	kept, err := readEngineImage(ctx, b.Docker, b.Cache, info.ID)
	if err != nil {
		return nil, err
	}
	return kept.image(b.Cache)
}

// sourcesHash tells the states of a service's folder apart, without what its command writes.
func (b *CommandBuilder) sourcesHash(svc Service) (string, error) {
	skip, err := leftOut(b.Workspace, svc)
	if err != nil {
		return "", err
	}
	t := contextTree{}
	if err := t.addFolderBut(nil, filepath.Join(b.Workspace, filepath.FromSlash(svc.Dir)), ".", skip); err != nil {
		return "", fmt.Errorf("look through the sources: %w", err)
	}
	return t.hash(fmt.Sprint(builderRevision)), nil
}
