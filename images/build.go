package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Builder makes the images of services of one kind. [Limited], [Cached] and [Recorded] wrap one.
type Builder interface {
	// Build makes images. It takes several services because a compiler that is started once for all of them shares their
	// common work. What was built is returned in the given order, together with a *[BuildError] of every service that wasn't.
	//
	// Build must make the same digest of the same input, and layers that can be read more than once. An error of the
	// compiler (or of a Dockerfile's step) must carry its output whole, in a *fault.Exec.
	Build(ctx context.Context, services ...Service) ([]Built, error)
}

// Built is a service's image.
type Built struct {
	Service Service
	Image   v1.Image
	Took    time.Duration // of a service built together with others: of all of them
}

// Builders are the builders of all languages, by language.
type Builders map[string]Builder

// All builds services, those of each language beside those of the others. On error it returns what was built
// nevertheless, and all errors: [ErrorsByService] tells them apart.
func (b Builders) All(ctx context.Context, services []Service) ([]Built, error) {
	groups := map[string][]Service{}
	var errs []error
	for _, s := range services {
		if b[s.Language] == nil {
			errs = append(errs, &BuildError{Services: []string{s.Name}, Err: fmt.Errorf("no builder for language %q", s.Language)})
			continue
		}
		groups[s.Language] = append(groups[s.Language], s)
	}
	var all []Built
	var mu sync.Mutex
	var wg sync.WaitGroup
	for language, group := range groups {
		wg.Go(func() {
			built, err := b[language].Build(ctx, group...)
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, built...), append(errs, err)
		})
	}
	wg.Wait()
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
