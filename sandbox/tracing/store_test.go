package tracing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// at is a span that begins some milliseconds after noon and takes ten.
func at(ms int, trace, id, parent string) *Span {
	return &Span{
		Trace: trace, ID: id, Parent: parent, Service: "s-" + id, Name: "n-" + id,
		Start: noon.Add(time.Duration(ms) * time.Millisecond), Seconds: 0.01,
	}
}

func TestTraceIsATree(t *testing.T) {
	t.Parallel()
	st := NewStore(DefaultLimits)
	failed := at(7, "t1", "d", "b")
	failed.Failed, failed.Error, failed.Job, failed.Request, failed.Group = true, "no such table\nin line 2", "ann-1", "C1", "uva"
	// In any order, and one whose parent never comes.
	st.Add(failed, at(5, "t1", "b", "a"), at(20, "t1", "e", "lost"))
	st.Add(at(2, "t1", "c", "a"), at(0, "t1", "a", ""), at(5, "t1", "b", "a"))
	trace, err := st.Find("")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, s := range trace.Spans {
		order = append(order, s.ID)
	}
	if got := strings.Join(order, " "); got != "a c b d e" {
		t.Errorf("order is %s", got)
	}
	if trace.Errors != 1 || trace.Seconds != 0.03 || trace.Name != "s-a n-a" || strings.Join(trace.Jobs, " ") != "ann-1" {
		t.Errorf("trace is %+v", trace)
	}
	var b strings.Builder
	if err := trace.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "\n\n")
	const want = `    offset   duration  service  span
    0.0 ms    10.0 ms  s-a      n-a
    2.0 ms    10.0 ms  s-c       n-c
    5.0 ms    10.0 ms  s-b       n-b
    7.0 ms    10.0 ms  uva/s-d    n-d
                                    error: no such table
                                    in line 2
   20.0 ms    10.0 ms  s-e      n-e  (what it follows has not arrived)
`
	if got != want {
		t.Errorf("text is\n%s\nwant\n%s", got, want)
	}
}

func TestSpansInACircle(t *testing.T) {
	t.Parallel()
	st := NewStore(DefaultLimits)
	st.Add(at(3, "t1", "a", "b"), at(2, "t1", "b", "a"), at(4, "t1", "c", "c"), at(5, "t1", "d", "a"), at(0, "t1", "e", ""))
	trace, err := st.Find("")
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, s := range trace.Spans {
		order = append(order, fmt.Sprint(s.ID, s.Depth))
	}
	if got := strings.Join(order, " "); got != "e0 c0 b0 a1 d2" || trace.Count != len(order) {
		t.Errorf("of %d spans the order is %s", trace.Count, got)
	}
	var b strings.Builder
	if err := trace.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, s := range trace.Spans {
		if !strings.Contains(b.String(), s.Name) {
			t.Errorf("%s is not in\n%s", s.Name, b.String())
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	st := NewStore(DefaultLimits)
	if _, err := st.Find(""); !errors.Is(err, ErrNone) {
		t.Errorf("find in an empty store: %v", err)
	}
	const first, second, third = "aaaaaa00000000000000000000000001", "bbbbbb00000000000000000000000002", "cccccc00000000000000000000000003"
	one, two := at(0, first, "1", ""), at(10, second, "1", "")
	one.Job, two.Job, two.Request = "ann-1", "ann-1", "C2"
	st.Add(two, at(20, third, "1", ""), one)
	for of, want := range map[string]string{
		"": third, "ann-1": second, "C2": second, first: first, "aaaaaa": first, "AAAAAA0": first,
	} {
		if got, err := st.Find(of); err != nil || got.ID != want {
			t.Errorf("find %q: %v, %v", of, got, err)
		}
	}
	for _, of := range []string{"ann", "ann-2", "aaaa", "dddddd"} {
		if got, err := st.Find(of); !errors.Is(err, ErrNone) {
			t.Errorf("find %q: %v, %v", of, got, err)
		}
	}
}

func TestStoreIsBounded(t *testing.T) {
	t.Parallel()
	t.Run("traces", func(t *testing.T) {
		t.Parallel()
		st := NewStore(Limits{Traces: 10, Bytes: 1 << 30, Spans: 100})
		st.Add(at(0, "t0", "first", ""))
		for i := range 50 {
			st.Add(at(i, fmt.Sprint("t", i), "a", ""))
			st.Add(at(i, "t0", fmt.Sprint(i), "")) // is heard of again and again
		}
		all := st.Traces()
		if len(all) != 10 || all[0].ID != "t49" || all[9].ID != "t0" {
			t.Errorf("%d traces, the newest is %s, the oldest %s", len(all), all[0].ID, all[len(all)-1].ID)
		}
	})
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		const limit = 100_000
		st := NewStore(Limits{Traces: 1000, Bytes: limit, Spans: 1000})
		for i := range 500 {
			s := at(i, fmt.Sprint("t", i), "a", "")
			s.Error = strings.Repeat("x", 5*maxText)
			s.Other = map[string]string{"k": strings.Repeat("x", 5*maxText), strings.Repeat("k", 5*maxText): "v"}
			st.Add(s, s)
			var held int64
			for _, trace := range st.traces {
				for _, s := range trace.spans {
					held += s.bytes()
				}
			}
			if held != st.bytes || held > limit {
				t.Fatalf("after %d spans %d bytes are held, %d are counted", i, held, st.bytes)
			}
		}
		if n := len(st.Traces()); n < 5 || n > 20 {
			t.Errorf("%d traces of about 9 kB fit in 100 kB", n)
		}
	})
	t.Run("one large trace", func(t *testing.T) {
		t.Parallel()
		st := NewStore(Limits{Traces: 10, Bytes: 1 << 30, Spans: 100})
		for i := range 150 {
			st.Add(at(i, "t", fmt.Sprint(i), ""))
		}
		if all := st.Traces(); len(all[0].Spans) != 100 || all[0].Dropped != 50 {
			t.Errorf("%d spans, %d dropped", len(all[0].Spans), all[0].Dropped)
		}
	})
	t.Run("one larger than all", func(t *testing.T) {
		t.Parallel()
		st := NewStore(Limits{Traces: 10, Bytes: 1000, Spans: 100})
		for i := range 20 {
			st.Add(at(i, "t", fmt.Sprint(i), ""))
		}
		if st.bytes > 1000 {
			t.Errorf("%d bytes are held", st.bytes)
		}
	})
	t.Run("without ids", func(t *testing.T) {
		t.Parallel()
		st := NewStore(DefaultLimits)
		st.Add(at(0, "", "a", ""), at(0, "t", "", ""))
		if n := len(st.Traces()); n != 0 {
			t.Errorf("%d traces", n)
		}
	})
}

func TestSinceWaits(t *testing.T) {
	t.Parallel()
	st := NewStore(DefaultLimits)
	st.Add(at(0, "before", "a", ""))
	found := make(chan *Trace, 1)
	go func() { found <- st.Since(t.Context(), noon.Add(time.Millisecond), "") }()
	st.Add(at(5, "after", "b", "a")) // its beginning is not there yet
	st.Add(at(2, "after", "a", ""))
	if got := <-found; got == nil || got.ID != "after" || len(got.Spans) != 2 {
		t.Errorf("got %+v", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got := st.Since(ended, noon.Add(time.Hour), ""); got != nil {
		t.Errorf("got %+v", got)
	}
}

// Of several requests since a time it is the one of the job, whenever that comes.
func TestSinceKnowsTheJob(t *testing.T) {
	t.Parallel()
	of := func(ms int, trace, job string) *Span {
		s := at(ms, trace, "a", "")
		s.Job = job
		return s
	}
	st := NewStore(DefaultLimits)
	st.Add(of(0, "before", "ann-1"), of(5, "unnamed", ""), of(9, "newest", "bob-2"), of(3, "earliest", "eve-3"))
	since := noon.Add(time.Millisecond)
	if got := st.Since(t.Context(), since, ""); got == nil || got.ID != "earliest" {
		t.Errorf("without a job: %+v", got)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if got := st.Since(ended, since, "ann-1"); got == nil || got.ID != "unnamed" {
		t.Errorf("a job that no span names: %+v", got)
	}
	found := make(chan *Trace, 1)
	go func() { found <- st.Since(t.Context(), since, "ann-1") }()
	st.Add(of(4, "hers", "ann-1"))
	if got := <-found; got == nil || got.ID != "hers" {
		t.Errorf("of the job: %+v", got)
	}
}
