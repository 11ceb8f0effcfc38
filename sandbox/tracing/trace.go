package tracing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Trace is what is known of one request.
type Trace struct {
	ID      string    `json:"trace"`
	Name    string    `json:"name"` // of its first span, with its service
	Jobs    []string  `json:"jobs,omitempty"`
	Start   time.Time `json:"start"`
	Seconds float64   `json:"seconds"`
	Errors  int       `json:"errors"`            // spans that failed
	Dropped int       `json:"dropped,omitempty"` // spans that were too many
	Count   int       `json:"spanCount"`
	// Spans are in the order of the tree: each before those that follow it, and these by their start. Missing in a list of
	// traces.
	Spans []*Span `json:"spans,omitempty"`

	heard time.Time // when the last of them arrived
}

// trace makes the tree.
func (t *stored) trace(id string) *Trace {
	trace := &Trace{ID: id, Start: t.start, Dropped: t.dropped, Count: len(t.spans), heard: t.at}
	children := map[string][]*Span{}
	var roots []*Span
	var end time.Time
	jobs := map[string]bool{}
	for _, span := range t.spans {
		if _, ok := t.spans[span.Parent]; ok && span.Parent != span.ID {
			children[span.Parent] = append(children[span.Parent], span)
		} else {
			roots = append(roots, span)
		}
		if e := span.end(); e.After(end) {
			end = e
		}
		if span.Failed {
			trace.Errors++
		}
		if span.Job != "" {
			jobs[span.Job] = true
		}
	}
	trace.Jobs = slices.Sorted(maps.Keys(jobs))
	trace.Seconds = end.Sub(t.start).Seconds()
	byStart := func(a, b *Span) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.ID, b.ID)) }
	reached := make(map[string]bool, len(t.spans))
	var walk func(spans []*Span, depth int)
	walk = func(spans []*Span, depth int) {
		slices.SortFunc(spans, byStart)
		for _, span := range spans {
			if reached[span.ID] {
				continue
			}
			reached[span.ID] = true
			span := *span // the same span may be in the tree of another call
			span.Depth = depth
			trace.Spans = append(trace.Spans, &span)
			walk(children[span.ID], depth+1)
		}
	}
	// The one without a parent goes first: clocks of one machine may differ in the last digits, and what is an orphan may be
	// so only until its parent has arrived.
	slices.SortFunc(roots, byStart)
	whole, orphans := split(roots, func(s *Span) bool { return s.Parent == "" })
	walk(whole, 0)
	walk(orphans, 0)
	if len(trace.Spans) < len(t.spans) { // the others follow each other in circles, each of which begins at its earliest
		for _, span := range slices.SortedFunc(maps.Values(t.spans), byStart) {
			walk([]*Span{span}, 0)
		}
	}
	if len(trace.Spans) > 0 {
		trace.Name = trace.Spans[0].who() + " " + trace.Spans[0].Name
	}
	return trace
}

func split[T any](all []T, of func(T) bool) (these, others []T) {
	for _, one := range all {
		if of(one) {
			these = append(these, one)
		} else {
			others = append(others, one)
		}
	}
	return these, others
}

// who names the service of a span, with its group.
func (s *Span) who() string {
	if s.Group == "" || s.Group == s.Service {
		return s.Service
	}
	return s.Group + "/" + s.Service
}

// whole says whether the request's first span has arrived, which ends last.
func (t *Trace) whole() bool { return len(t.Spans) > 0 && t.Spans[0].Parent == "" }

// ErrNone is returned where no trace is what was asked for.
var ErrNone = errors.New("no trace")

var hexadecimal = regexp.MustCompile(`^[0-9a-f]{6,32}$`)

// Find returns the newest request, or with of the newest that it stands for: a job, a correlation id, a trace's id or its
// beginning.
func (st *Store) Find(of string) (*Trace, error) {
	prefix := strings.ToLower(of)
	named := hexadecimal.MatchString(prefix)
	found := st.those(func(id string, t *stored) bool {
		if of == "" || named && strings.HasPrefix(id, prefix) {
			return true
		}
		for _, s := range t.spans {
			if s.Job == of || s.Request == of {
				return true
			}
		}
		return false
	})
	switch {
	case len(found) > 0:
		return found[0], nil
	case of == "":
		return nil, fmt.Errorf("%w has arrived yet", ErrNone)
	}
	return nil, fmt.Errorf("%w of a job, data request or trace %q", ErrNone, of)
}

// Since waits for a request that began at a time or later, and returns its trace: the one of the job, or where none is given
// the earliest whose first span has arrived. When ctx ends before, it is the earliest of those that name no job, as services
// of the original don't; nil if there is none.
func (st *Store) Since(ctx context.Context, begun time.Time, job string) *Trace {
	for {
		arrived := st.arrival()
		var unnamed *Trace
		for _, t := range slices.Backward(st.those(func(_ string, t *stored) bool { return !t.start.Before(begun) })) {
			switch {
			case job != "" && slices.Contains(t.Jobs, job), job == "" && t.whole():
				return t
			case unnamed == nil && len(t.Jobs) == 0 && t.whole():
				unnamed = t
			}
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return unnamed
		}
	}
}
