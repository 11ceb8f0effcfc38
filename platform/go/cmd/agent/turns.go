package main

import (
	"context"
	"sync"
)

// turns let one data request of a job run at a time. All of them share the job's queue, so the Pods of two would
// take each other's messages.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when the turn ends
}

// take waits for the job's turn and returns how to end it, or ctx's error.
func (t *turns) take(ctx context.Context, job string) (end func(), err error) {
	for {
		t.mu.Lock()
		ended, busy := t.taken[job]
		if !busy {
			ended = make(chan struct{})
			t.taken[job] = ended
			t.mu.Unlock()
			return func() {
				t.mu.Lock()
				defer t.mu.Unlock()
				delete(t.taken, job)
				close(ended)
			}, nil
		}
		t.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
