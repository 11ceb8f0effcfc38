package tracing

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Limits bound what a [Store] keeps.
type Limits struct {
	Traces int   // how many
	Bytes  int64 // of all of them, about
	Spans  int   // of one trace: further ones are dropped
}

// DefaultLimits are some days of a developer's work.
var DefaultLimits = Limits{Traces: 1000, Bytes: 64 << 20, Spans: 5000}

// Store keeps the spans that were received, in memory. The traces of which nothing has been heard for longest make room
// for new ones.
type Store struct {
	limits Limits

	mu      sync.Mutex
	traces  map[string]*stored
	bytes   int64
	heard   uint64        // arrivals so far
	changed chan struct{} // closed at the next arrival; nil while nobody waits
}

type stored struct {
	spans   map[string]*Span // by id: what is sent twice counts once
	start   time.Time
	heard   uint64    // the last arrival of a span of it
	at      time.Time // when that was
	bytes   int64
	dropped int // spans
}

// NewStore makes an empty store.
func NewStore(limits Limits) *Store {
	return &Store{limits: limits, traces: map[string]*stored{}}
}

// Add keeps spans. Those without ids are dropped.
func (st *Store) Add(spans ...*Span) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, span := range spans {
		if span.Trace == "" || span.ID == "" {
			continue
		}
		span.shorten()
		st.add(span)
	}
	for len(st.traces) > st.limits.Traces || st.bytes > st.limits.Bytes {
		st.forgetOldest()
	}
	if st.changed != nil {
		close(st.changed)
		st.changed = nil
	}
}

// add is called with mu held.
func (st *Store) add(span *Span) {
	t, ok := st.traces[span.Trace]
	if !ok {
		t = &stored{spans: map[string]*Span{}, start: span.Start}
		st.traces[span.Trace] = t
	}
	st.heard++
	t.heard, t.at = st.heard, time.Now()
	before, again := t.spans[span.ID]
	if !again && len(t.spans) >= st.limits.Spans {
		t.dropped++
		return
	}
	size := span.bytes()
	if again {
		size -= before.bytes()
	}
	t.spans[span.ID] = span
	t.bytes += size
	st.bytes += size
	if span.Start.Before(t.start) {
		t.start = span.Start
	}
}

func (st *Store) forgetOldest() {
	var id string
	for candidate, t := range st.traces {
		if id == "" || t.heard < st.traces[id].heard {
			id = candidate
		}
	}
	st.bytes -= st.traces[id].bytes
	delete(st.traces, id)
}

// Traces are all that there are, the newest request first.
func (st *Store) Traces() []*Trace {
	return st.those(func(string, *stored) bool { return true })
}

// those are the traces of which wanted is true, the newest request first.
func (st *Store) those(wanted func(id string, t *stored) bool) []*Trace {
	st.mu.Lock()
	defer st.mu.Unlock()
	all := []*Trace{}
	for id, t := range st.traces {
		if wanted(id, t) {
			all = append(all, t.trace(id))
		}
	}
	slices.SortFunc(all, func(a, b *Trace) int { return cmp.Or(b.Start.Compare(a.Start), cmp.Compare(a.ID, b.ID)) })
	return all
}

// arrival is closed when something arrives after the call.
func (st *Store) arrival() <-chan struct{} {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.changed == nil {
		st.changed = make(chan struct{})
	}
	return st.changed
}
