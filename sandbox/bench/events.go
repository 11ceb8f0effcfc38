package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// event is a line of `dynsandbox events -o json`.
type event struct {
	Kind, Service, Text string

	at time.Time // when it was read
}

// concerns reports whether the event is about a service; one event can be about several.
func (e event) concerns(service string) bool {
	return slices.Contains(strings.Split(e.Service, ", "), service)
}

// stream is what happens in the session from some time after watch was called: to be sure that it has begun, wait for an
// event that can be made to happen.
type stream struct {
	events <-chan event
	stop   context.CancelFunc
	seen   map[string]time.Time // when the service that was waited for had its last event of each kind
}

// watch begins a stream. The caller stops it.
func (b *bench) watch(ctx context.Context) (*stream, error) {
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, b.binary, "events", "-o", "json")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		stop()
		return nil, fmt.Errorf("watch events: %w", err)
	}
	events := make(chan event, 1000) // more than a reload has, so that nobody waits for a reader
	go func() {
		defer close(events)
		defer cmd.Wait() //nolint:errcheck // it is killed when nobody needs it any more
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20) // refusals hold whole outputs of compilers
		for lines.Scan() {
			var e event
			if json.Unmarshal(lines.Bytes(), &e) == nil {
				e.at = time.Now()
				events <- e
			}
		}
	}()
	return &stream{events, stop, map[string]time.Time{}}, nil
}

// eventLimit is how long anything may take that is waited for here.
const eventLimit = 3 * time.Minute

// await returns when a service has an event of that kind.
func (s *stream) await(ctx context.Context, kind, service string) error {
	limit := time.NewTimer(eventLimit)
	defer limit.Stop()
	last := "no event"
	for {
		select {
		case e, ok := <-s.events:
			if e.concerns(service) {
				s.seen[e.Kind] = e.at
			}
			switch {
			case !ok:
				return fmt.Errorf("wait for %s to be %s: the session ended the events", service, kind)
			case e.concerns(service) && e.Kind == kind:
				return nil
			case e.concerns(service) && e.Kind == "refused":
				return fmt.Errorf("wait for %s to be %s: it was refused: %s", service, kind, e.Text)
			}
			last = e.Kind + " " + e.Service
		case <-limit.C:
			return &fault.Timeout{WaitedFor: service + " to be " + kind, LastSeen: last, After: eventLimit}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// forget drops the events until now.
func (s *stream) forget() {
	clear(s.seen)
	for {
		select {
		case _, ok := <-s.events:
			if !ok {
				return
			}
		default:
			return
		}
	}
}
