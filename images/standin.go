package images

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/docker/docker/client"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// standIn puts a stand-in into the engine, and reports whether its file system was in the cache.
// Only one is made at a time on a machine: they share a base, and a lock file.
func (t *ThirdParty) standIn(ctx context.Context, r recipe) (cached bool, err error) {
	if err := os.MkdirAll(t.dir(), 0o755); err != nil {
		return false, err
	}
	unlock, err := lockFile(ctx, filepath.Join(t.dir(), "lock"))
	if err != nil {
		return false, fmt.Errorf("wait for another build of a stand-in: %w", err)
	}
	defer unlock()
	archive := t.archive(r)
	cached = exists(archive)
	if !cached {
		if err := t.makeRoot(ctx, r, archive); err != nil {
			return false, err
		}
	}
	progress.Report(ctx, progress.Update{What: "load " + r.ref() + " into the engine"})
	img, err := t.standInImage(r, archive)
	if err != nil {
		return cached, err
	}
	return cached, loadIntoEngine(ctx, t.Docker, r.ref(), img)
}

// archive is the file of a stand-in's file system.
func (t *ThirdParty) archive(r recipe) string {
	return filepath.Join(t.dir(), r.name+"-"+r.hash()+".tar")
}

func (t *ThirdParty) dir() string { return filepath.Join(t.Cache, "stand-ins") }

// standInImage is the image of one layer that a packed file system is.
func (t *ThirdParty) standInImage(r recipe, archive string) (v1.Image, error) {
	diffID, err := fileHash(archive)
	if err != nil {
		return nil, err
	}
	l, err := fileLayer(archive, diffID)
	if err != nil {
		return nil, err
	}
	config := r.config
	config.Labels = map[string]string{engine.LabelRole: "stand-in"}
	return assemble(v1.Platform{OS: "linux", Architecture: runtime.GOARCH}, config, l)
}

// loadIntoEngine streams an image into the engine, under ref.
func loadIntoEngine(ctx context.Context, docker client.APIClient, ref string, img v1.Image) error {
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(tarball.Write(tag, img, w)) }()
	defer r.Close()
	answer, err := docker.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("load %s into the engine: %w", ref, err)
	}
	defer answer.Body.Close()
	if err := readEngineStream(answer.Body, nil); err != nil {
		return fmt.Errorf("load %s into the engine: %w", ref, err)
	}
	return nil
}
