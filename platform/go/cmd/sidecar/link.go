package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Attempts to reach the broker begin this far apart and get rarer: it may come up just now, or be away for long.
const (
	firstPause = 50 * time.Millisecond
	maxPause   = time.Second
)

// link keeps one connection to the broker and makes a new one when it is needed.
type link struct {
	dial    func(context.Context) (broker, error)
	turn    chan struct{} // held by who uses current; a channel because waiting for it has to end with ctx
	current broker
	ended   bool
}

var errEnding = errors.New("the sidecar is ending")

func newLink(dial func(context.Context) (broker, error)) *link {
	return &link{dial: dial, turn: make(chan struct{}, 1)}
}

// get returns the connection, and tries to make one for as long as ctx allows: a broker that isn't there yet comes.
func (l *link) get(ctx context.Context) (broker, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to the broker: %w", ctx.Err())
	}
	if l.ended {
		return nil, errEnding
	}
	if l.current != nil {
		if !isClosed(l.current) {
			return l.current, nil
		}
		slog.WarnContext(ctx, "broker lost, connecting again")
	}
	pause, said := firstPause, ""
	for {
		b, err := l.dial(ctx)
		if err == nil {
			l.current = b
			slog.InfoContext(ctx, "connected to the broker")
			return b, nil
		}
		if err.Error() != said {
			said = err.Error()
			slog.WarnContext(ctx, "broker not reached, trying again", "error", err)
		}
		if sleep(ctx, pause) != nil {
			return nil, fmt.Errorf("connect to the broker: %w", errors.Join(ctx.Err(), err))
		}
		pause = min(2*pause, maxPause)
	}
}

// prepare makes the connection before it is needed. When it fails, whoever needs the connection tries again.
func (l *link) prepare(ctx context.Context) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return
	}
	if l.ended || l.current != nil {
		return
	}
	b, err := l.dial(ctx)
	if err != nil {
		slog.DebugContext(ctx, "broker not reached yet", "error", err)
		return
	}
	l.current = b
	slog.InfoContext(ctx, "connected to the broker")
}

// close ends the connection for good.
func (l *link) close() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.ended = true
	if l.current != nil {
		l.current.Close()
	}
}

func isClosed(b broker) bool {
	select {
	case <-b.Closed():
		return true
	default:
		return false
	}
}

// sleep returns after d, or ctx's error before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
