package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// PythonBuilder builds Python services with the engine's BuildKit, from the workspace's own python/Dockerfile and a
// context like the one that the workspace's Makefile prepares. The workspace is not written to.
//
// An image that the engine has from the same inputs is not built again. Where only sources were changed that nothing but
// COPYs of the Dockerfile read, the engine isn't asked to build at all: one layer takes them to the image that it built
// before, always to that one, so that layers don't pile up.
type PythonBuilder struct {
	*DockerfileBuilder
}

// Build builds one service: several are built by a [Limited].
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
	// It was there when the service was discovered; an image without it can be built, and would fail in a request.
	if main := svc.Dir + "/main.py"; !exists(filepath.Join(b.Workspace, filepath.FromSlash(main))) {
		return nil, fmt.Errorf("%s is gone, and the service has nothing else to run", main)
	}
	if err := os.MkdirAll(b.builtDir(), 0o755); err != nil {
		return nil, err
	}
	in, err := b.inputs(ctx, svc)
	if err != nil {
		return nil, err
	}
	checked := make(chan error, 1)
	go func() { checked <- b.checkSyntax(ctx, svc, in) }()
	img, reason, err := b.withLayer(ctx, svc, in)
	if err := errors.Join(err, <-checked); err != nil || img != nil {
		return img, err
	}
	progress.Report(ctx, progress.Update{What: "build " + svc.Name + ": " + reason})
	return b.withEngine(ctx, svc, in)
}

// withEngine has the engine carry out the Dockerfile, and notes what came of it.
func (b *PythonBuilder) withEngine(ctx context.Context, svc Service, in pythonInputs) (v1.Image, error) {
	return b.carryOut(ctx, svc, in.buildInputs, func(built buildInputs, kept keptImage) error {
		in.buildInputs = built
		return b.keepBase(svc, in, kept)
	})
}

func (b *PythonBuilder) dir() string { return filepath.Join(b.Cache, "python") }

// pathHash tells folders apart by where they are.
func pathHash(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(abs))
	return hex.EncodeToString(sum[:6]), nil
}
