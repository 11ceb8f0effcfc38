package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Builder makes a service's image.
//
// Build must return the same digest for the same input, and layers that are uncompressed and can be read more than
// once. An error of the compiler (or of a Dockerfile's step) must carry its output whole, in a *fault.Exec.
type Builder interface {
	Build(ctx context.Context, svc Service) (v1.Image, error)
}

// Built is a service's image.
type Built struct {
	Service Service
	Image   v1.Image
	Took    time.Duration // of a service built together with others: of all of them
}

// Builders are the builders of all languages.
type Builders struct {
	Go     *GoBuilder
	Python Builder
}

// All builds services: all Go ones with one run of the compiler, first, and Python ones beside it, as many at once as
// there are cores. On error it returns what was built nevertheless,
// and all errors: [ErrorsByService] tells them apart.
func (b Builders) All(ctx context.Context, services []Service) ([]Built, error) {
	var goServices, others []Service
	for _, s := range services {
		if s.Language == Go {
			goServices = append(goServices, s)
		} else {
			others = append(others, s)
		}
	}
	built := make([]Built, len(others))
	errs := make([]error, len(others)+1)
	var fromGo []Built
	var g errgroup.Group
	g.SetLimit(runtime.NumCPU())
	if len(goServices) > 0 {
		g.Go(func() error {
			fromGo, errs[len(others)] = b.Go.BuildAll(ctx, goServices)
			return nil
		})
	}
	for i, s := range others {
		g.Go(func() error {
			if s.Language != Python {
				errs[i] = &BuildError{Services: []string{s.Name}, Err: fmt.Errorf("no builder for language %q", s.Language)}
				return nil
			}
			began := time.Now()
			progress.Report(ctx, progress.Update{What: "build " + s.Name})
			img, err := b.Python.Build(ctx, s)
			if err != nil {
				errs[i] = &BuildError{Services: []string{s.Name}, Err: err}
			}
			built[i] = Built{s, img, time.Since(began)}
			return nil
		})
	}
	g.Wait() //nolint:errcheck // the functions collect their errors
	all := append(fromGo, slices.DeleteFunc(built, func(b Built) bool { return b.Image == nil })...)
	slices.SortFunc(all, func(a, b Built) int { return cmp.Compare(a.Service.Name, b.Service.Name) })
	return all, errors.Join(errs...)
}

// Tagged maps every name by which the images are asked for to its image: what [Load] takes.
func Tagged(built []Built) map[name.Tag]v1.Image {
	m := map[name.Tag]v1.Image{}
	for _, b := range built {
		for _, tag := range b.Service.Refs {
			m[tag] = b.Image
		}
	}
	return m
}

func serviceNames(services []Service) []string {
	names := make([]string, len(services))
	for i, s := range services {
		names[i] = s.Name
	}
	return names
}
