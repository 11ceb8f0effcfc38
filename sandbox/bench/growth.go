package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// growth compares a session whose workspace has ten times as many services, keys and files with one of the workspace as
// it is, both just brought up. The goal is a ceiling on totals: two sizes don't tell whether growth is linear.
type growth struct {
	before, after usage
	note          string
}

func memoryGrowth(ctx context.Context, b *bench, n int) (samples, error) {
	g, err := b.growth(ctx, n)
	return samples{ours: g.after.memory, peer: g.before.memory, note: g.note}, err
}

func cpuGrowth(ctx context.Context, b *bench, n int) (samples, error) {
	g, err := b.growth(ctx, n)
	// Nothing can't be multiplied: at least a tick of the clock by which processes are measured.
	least := 100.0 / ticks / (quiet.Seconds() / float64(n))
	s := samples{note: g.note}
	for i := range g.after.cpu {
		s.ours = append(s.ours, max(g.after.cpu[i], least))
		s.peer = append(s.peer, max(g.before.cpu[i], least))
	}
	return s, err
}

// growth measures once for all rows that want it.
func (b *bench) growth(ctx context.Context, n int) (g growth, err error) {
	if b.grown != nil {
		return *b.grown, nil
	}
	large := filepath.Join(filepath.Dir(b.workspace), "bench-platform-grown")
	before, after, err := growWorkspace(b.workspace, large)
	if err != nil {
		return g, fmt.Errorf("make a workspace ten times as large: %w", err)
	}
	g.note = fmt.Sprintf("services %d to %d, keys %d to %d, files %d to %d",
		before.services, after.services, before.keys, after.keys, before.files, after.files)
	defer func() { // the next row wants the other workspace
		err = errors.Join(err, b.purge(context.WithoutCancel(ctx)), os.RemoveAll(large))
	}()
	for _, one := range []struct {
		workspace string
		into      *usage
	}{{b.workspace, &g.before}, {large, &g.after}} {
		if err := b.purge(ctx); err != nil {
			return g, err
		}
		if _, err := b.up(ctx, one.workspace, "--no-scenario"); err != nil {
			return g, err
		}
		if *one.into, err = b.usage(ctx, n); err != nil {
			return g, err
		}
	}
	b.grown = &g
	return g, nil
}
