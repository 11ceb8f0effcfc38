package sandbox

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// feed is a list of events that any number of clients read at their own pace, each from the beginning or from now.
type feed struct {
	mu      sync.Mutex
	events  []*control.Event
	dropped int           // how many of the oldest are gone
	changed chan struct{} // closed, and replaced, when events or closed changes
	closed  bool
	shown   map[string]time.Time // when a phase's progress was last passed on
	also    *feed                // gets the same events; may be nil
}

func newFeed(also *feed) *feed {
	return &feed{changed: make(chan struct{}), shown: map[string]time.Time{}, also: also}
}

// feedKeeps is how many events a feed holds at most: a bring-up has a few hundred, a session may last for weeks.
const feedKeeps = 4096

// progressEvery is how often the progress of one phase is passed on: as fast as an eye can use it.
const progressEvery = 100 * time.Millisecond

// progress adds a report of a running phase, unless one was added just before.
func (f *feed) progress(phase string, u progress.Update) {
	f.mu.Lock()
	now := time.Now()
	if u.Done != u.Total && now.Sub(f.shown[phase]) < progressEvery {
		f.mu.Unlock()
		return
	}
	f.shown[phase] = now
	f.mu.Unlock()
	f.add(&control.Event{Kind: control.Event_PROGRESS, Phase: phase, Text: u.What, Done: u.Done, Total: u.Total, Unit: u.Unit})
}

// phase adds a change of a phase's state.
func (f *feed) phase(name string, r PhaseReport) {
	kind, ok := map[PhaseState]control.Event_Kind{
		Running: control.Event_STARTED, Done: control.Event_DONE, Met: control.Event_MET, Failed: control.Event_FAILED,
		Stopped: control.Event_STOPPED,
	}[r.State]
	if ok {
		f.add(&control.Event{Kind: kind, Phase: name, Text: r.Text, Seconds: r.Seconds, Beside: r.Beside})
	}
}

// note adds a line for people.
func (f *feed) note(text string) { f.add(&control.Event{Kind: control.Event_NOTE, Text: text}) }

func (f *feed) add(e *control.Event) {
	e.UnixMs = time.Now().UnixMilli()
	if f.also != nil {
		f.also.add(e)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.events = append(f.events, e)
	if len(f.events) > feedKeeps {
		f.dropped += feedKeeps / 2
		f.events = slices.Clone(f.events[feedKeeps/2:])
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// close ends the feed: its followers get what is there, and return.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.closed = true
		close(f.changed)
	}
}

// end is the number of events so far.
func (f *feed) end() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dropped + len(f.events)
}

// follow sends the events from number `from` on, until the feed is closed, ctx ends or send fails.
func (f *feed) follow(ctx context.Context, from int, send func(*control.Event) error) error {
	for {
		f.mu.Lock()
		from = max(from, f.dropped)
		pending, changed, closed := f.events[from-f.dropped:], f.changed, f.closed
		f.mu.Unlock()
		for _, e := range pending {
			if err := send(e); err != nil {
				return err
			}
			from++
		}
		if len(pending) > 0 {
			continue
		}
		if closed {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
