package images

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Single builds one service.
type Single interface {
	Build(ctx context.Context, svc Service) (v1.Image, error)
}

// Limited makes a builder of one that builds a single service at a time: several builds run at once, but no more than
// a limit.
type Limited struct {
	Each  Single
	Limit int // 0: as many as there are cores
}

var _ Builder = Limited{}

// Build builds each service by itself.
func (l Limited) Build(ctx context.Context, services ...Service) ([]Built, error) {
	built := make([]Built, len(services))
	errs := make([]error, len(services))
	var g errgroup.Group
	if g.SetLimit(l.Limit); l.Limit == 0 {
		g.SetLimit(runtime.NumCPU())
	}
	for i, s := range services {
		g.Go(func() error {
			began := time.Now()
			progress.Report(ctx, progress.Update{What: "build " + s.Name})
			img, err := l.Each.Build(ctx, s)
			if err != nil {
				errs[i] = &BuildError{Services: []string{s.Name}, Err: err}
				return nil
			}
			built[i] = Built{s, img, time.Since(began)}
			return nil
		})
	}
	g.Wait() //nolint:errcheck // the functions note their errors
	return slices.DeleteFunc(built, func(b Built) bool { return b.Image == nil }), errors.Join(errs...)
}
