package sandbox

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// installPackages gets what a build on this machine lacks.
func installPackages(ctx context.Context, pkgs ...string) error {
	return engine.InstallPackages(ctx, nil, pkgs...)
}

// thirdParty gets the images that nobody here builds.
func (b *bringUp) thirdParty() *images.ThirdParty {
	return &images.ThirdParty{
		Docker: b.session.docker, Cache: filepath.Join(b.cache, "images"), Offline: b.record.Offline, Install: installPackages,
	}
}

// normalised is an image reference as the node knows it: "dynamos1/agent:main" is "docker.io/dynamos1/agent:main".
// What isn't a reference stays as it is.
func normalised(ref string) string {
	tag, err := name.NewTag(ref)
	if err != nil {
		return ref
	}
	return images.Normalised(tag)
}

// sourcesStand is the check of the phase "build": the sources are as they were when the images were built that
// stand on the nodes. A node that doesn't run yet is asked by the phase "load".
func (b *bringUp) sourcesStand(ctx context.Context) (bool, error) {
	if b.built != nil {
		return true, nil
	}
	var err error
	if b.sources, err = images.ReadSources(b.workspace.dir, b.record.buildSettings()...); err != nil || b.sources.Fingerprint() != b.record.Sources {
		return false, err
	}
	stands, err := b.lookAtNodes(ctx)
	return stands || err != nil, nil
}

// imagesStand is the check of the phase "load". The node of a creation that was broken off may have them all, but is made anew.
func (b *bringUp) imagesStand(ctx context.Context) (bool, error) {
	if b.built != nil || b.loaded {
		return b.loaded, nil
	}
	c, err := b.describe()
	if err != nil {
		return false, err
	}
	if state, err := c.State(ctx); err != nil || state != cluster.Running {
		return false, err
	}
	stands, err := b.lookAtNodes(ctx)
	return stands && err == nil, nil
}

// lookAtNodes reports whether every node has every image, with the content that was last loaded.
func (b *bringUp) lookAtNodes(ctx context.Context) (bool, error) {
	have, err := b.session.nodes().Images(ctx)
	if err != nil {
		return false, err
	}
	for _, svc := range b.workspace.found.Services {
		for _, ref := range svc.Refs {
			known := images.Normalised(ref)
			if digest, ok := have[known]; !ok || digest != b.record.Images[known].Digest {
				return false, nil
			}
		}
	}
	return true, nil
}

// newBuilders returns those of all languages. They learn while they build: bringUp.builders keeps them for the reloads that
// follow.
func (b *bringUp) newBuilders() images.Builders {
	dir, cache := b.workspace.dir, filepath.Join(b.cache, "images")
	dockerfiles := &images.DockerfileBuilder{Workspace: dir, Cache: cache, Docker: b.session.docker, Bases: b.thirdParty(), Args: b.record.BuildArgs}
	python := &images.PythonBuilder{DockerfileBuilder: dockerfiles}
	commands := &images.CommandBuilder{Workspace: dir, Cache: cache, Docker: b.session.docker, Offline: b.record.Offline}
	compiler := &images.GoBuilder{Workspace: dir, Cache: cache, Offline: b.record.Offline, Debug: b.record.Debug}
	builders := images.Builders{
		images.Go:         &images.Cached{Builder: compiler, Key: images.GoKey(dir)},
		images.Python:     images.Limited{Each: python},
		images.Dockerfile: images.Limited{Each: dockerfiles},
		images.Command:    images.Limited{Each: commands},
	}
	for language, builder := range builders {
		builders[language] = images.Recorded{Builder: builder, Note: b.noteBuild}
	}
	return builders
}

// buildSettings are those of the user's that change what the builders make.
func (r Record) buildSettings() []string {
	settings := []string{fmt.Sprintf("debug=%t", r.Debug)}
	for _, key := range slices.Sorted(maps.Keys(r.BuildArgs)) {
		settings = append(settings, key+"="+r.BuildArgs[key])
	}
	return settings
}

// noteBuild writes a build to the session's log.
func (b *bringUp) noteBuild(services []string, took time.Duration, err error) {
	b.session.log.Info("built", "services", services, "seconds", took.Seconds(), "error", b.session.scrub(err))
}

// build is the phase "build".
func (b *bringUp) build(ctx context.Context) (string, error) {
	built, err := b.builders().All(ctx, b.workspace.found.Services)
	if err != nil {
		return "", err
	}
	b.built = images.Tagged(built)
	return fmt.Sprintf("%d services", len(built)), nil
}

// connectLimit is how long a node's containerd, which answers, may take to be connected to.
const connectLimit = time.Minute

// load is the phase "load": it begins as soon as the nodes' containerd answers, while Kubernetes still starts.
func (b *bringUp) load(ctx context.Context) (string, error) {
	c, err := b.describe()
	if err != nil {
		return "", err
	}
	if err := c.WaitContainerd(ctx); err != nil {
		return "", err
	}
	connecting, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	if err := b.session.nodes().Connect(connecting); err != nil {
		return "", err
	}
	if b.built == nil {
		// The sources haven't changed. Nodes that were only stopped have their images still; others need them.
		if stands, err := b.lookAtNodes(ctx); err != nil {
			return "", err
		} else if stands {
			b.loaded = true
			return "the nodes have all images", nil
		}
		if _, err := b.build(ctx); err != nil {
			return "", err
		}
	}
	report, err := b.session.nodes().Load(ctx, b.built)
	if err != nil {
		return "", err
	}
	now := map[string]Image{}
	sent := 0
	for _, l := range report.Images {
		now[l.Ref] = Image{Digest: l.Digest, ID: l.ConfigDigest}
		if l.Sent {
			sent++
		}
	}
	b.loaded = true
	return fmt.Sprintf("%d images, %d of them new, %.1f MB sent", len(report.Images), sent, float64(report.Bytes)/1e6),
		b.remember(func(r *Record) { r.Sources, r.Images = b.sources.Fingerprint(), now })
}

// brief cuts a text to its first line.
func brief(text string) string { return strings.SplitN(text, "\n", 2)[0] }
