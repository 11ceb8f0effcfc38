package main

import "context"

// freshUp compares the bring-up of a new sandbox, all images cached, with `kind create cluster` alone.
func freshUp(ctx context.Context, b *bench, n int) (s samples, err error) {
	if err := b.ready(ctx); err != nil { // it fills the caches
		return s, err
	}
	for range n {
		if err := b.purge(ctx); err != nil {
			return s, err
		}
		ours, err := b.up(ctx, b.workspace, "--no-scenario")
		if err != nil {
			return s, err
		}
		if err := b.down(ctx); err != nil {
			return s, err
		}
		peer, err := timed(func() error { return b.kindCreate(ctx) })
		if err != nil {
			return s, err
		}
		if err := b.deletePeer(ctx); err != nil {
			return s, err
		}
		s.ours, s.peer = append(s.ours, ours), append(s.peer, peer)
	}
	return s, nil
}

// upRunning is `up` on a sandbox that runs.
func upRunning(ctx context.Context, b *bench, n int) (s samples, err error) {
	if _, err := b.up(ctx, b.workspace); err != nil { // it sets right what other rows have changed
		return s, err
	}
	for range n {
		ours, err := b.up(ctx, b.workspace)
		if err != nil {
			return s, err
		}
		s.ours = append(s.ours, ours)
	}
	return s, nil
}

// upStopped is `up` on a sandbox that was stopped, whose platform must answer requests then.
func upStopped(ctx context.Context, b *bench, n int) (s samples, err error) {
	if err := b.ready(ctx); err != nil {
		return s, err
	}
	for range n {
		if err := b.down(ctx); err != nil {
			return s, err
		}
		ours, err := b.up(ctx, b.workspace)
		if err != nil {
			return s, err
		}
		if _, err := b.replay(ctx); err != nil {
			return s, err
		}
		s.ours = append(s.ours, ours)
	}
	return s, nil
}
