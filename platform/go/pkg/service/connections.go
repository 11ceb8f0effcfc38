package service

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// newTimeout is how long the end of a server waits for connections on which nothing has arrived yet: that of a request
// which is on its way is there in no time.
const newTimeout = 100 * time.Millisecond

// connections are those of an HTTP server that have, or may be about to have, a request.
type connections struct {
	mu      sync.Mutex
	busy    map[net.Conn]http.ConnState // StateNew or StateActive
	changed chan struct{}               // closed at the next change; nil while nobody waits
}

// track is the server's ConnState. A connection is active until its answer is written.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		if c.busy == nil {
			c.busy = map[net.Conn]http.ConnState{}
		}
		c.busy[conn] = state
	default:
		delete(c.busy, conn)
	}
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// settle returns when all requests are answered, or ctx ends.
func (c *connections) settle(ctx context.Context) {
	fresh, cancel := context.WithTimeout(ctx, newTimeout)
	defer cancel()
	c.wait(fresh, http.StateNew, http.StateActive)
	c.wait(ctx, http.StateActive)
}

// wait returns when no connection is in any of the states, or ctx ends.
func (c *connections) wait(ctx context.Context, states ...http.ConnState) {
	for {
		busy, changed := c.any(states)
		if !busy {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// any says whether a connection is in one of the states, and what is closed when that may have changed.
func (c *connections) any(states []http.ConnState) (busy bool, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	for _, state := range c.busy {
		for _, s := range states {
			busy = busy || state == s
		}
	}
	return busy, c.changed
}
