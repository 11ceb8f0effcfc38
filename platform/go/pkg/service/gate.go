package service

import (
	"context"
	"sync"
	"time"
)

// gate is open or shut, and can be waited for. It begins shut; once it has ended it stays so.
type gate struct {
	mu      sync.Mutex
	open    bool
	ended   bool
	changed chan struct{} // closed at the next change; nil while nobody waits
}

func (g *gate) set(open bool) { g.change(func() { g.open = open && !g.ended }) }

// end shuts the gate for good.
func (g *gate) end() { g.change(func() { g.open, g.ended = false, true }) }

func (g *gate) change(do func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	do()
	if g.changed != nil {
		close(g.changed)
		g.changed = nil
	}
}

// state is what the gate is, and what is closed when it is something else.
func (g *gate) state() (open, ended bool, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.changed == nil {
		g.changed = make(chan struct{})
	}
	return g.open, g.ended, g.changed
}

// wait returns true as soon as the gate is open, and false when it has ended, or when ctx has, or after patience.
func (g *gate) wait(ctx context.Context, patience time.Duration) bool {
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		open, ended, changed := g.state()
		if open || ended {
			return open
		}
		select {
		case <-changed:
		case <-late.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}
