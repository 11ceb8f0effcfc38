package images

import (
	"context"
	"time"
)

// Recorded tells of every build that a builder makes, as soon as it has ended.
type Recorded struct {
	Builder Builder
	// Note may be called by several goroutines at once. err has what Build returned.
	Note func(services []string, took time.Duration, err error)
}

var _ Builder = Recorded{}

// Build has the builder build.
func (r Recorded) Build(ctx context.Context, services ...Service) ([]Built, error) {
	began := time.Now()
	built, err := r.Builder.Build(ctx, services...)
	r.Note(serviceNames(services), time.Since(began), err)
	return built, err
}
