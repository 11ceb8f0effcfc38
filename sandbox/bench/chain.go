package main

import (
	"context"
	_ "embed"
	"os"
	"path/filepath"
)

//go:embed compute-to-data-one-provider.yaml
var oneProviderScenario []byte

// oneProvider is the time from a request to its answer through the whole chain, the creation of the Job included.
func oneProvider(ctx context.Context, b *bench, n int) (samples, error) {
	file := filepath.Join(b.scratch, "compute-to-data-one-provider.yaml")
	if err := os.WriteFile(file, oneProviderScenario, 0o644); err != nil {
		return samples{}, err
	}
	return b.requests(ctx, n, file)
}

// thirdParty is the same for two providers whose tables a third party aggregates: three Jobs.
func thirdParty(ctx context.Context, b *bench, n int) (samples, error) {
	return b.requests(ctx, n, "data-through-ttp")
}

func (b *bench) requests(ctx context.Context, n int, scenario string) (s samples, err error) {
	if err := b.ready(ctx); err != nil {
		return s, err
	}
	for i := range n + 1 {
		seconds, err := b.replay(ctx, scenario)
		if err != nil {
			return s, err
		}
		if i > 0 { // the first reads binaries and packages from the disk
			s.ours = append(s.ours, seconds...)
		}
	}
	return s, nil
}
