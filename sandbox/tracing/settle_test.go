package tracing

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestSettled(t *testing.T) {
	t.Parallel()
	// add has spans arrive one after the other, half a second apart.
	add := func(st *Store, ids ...string) {
		for _, id := range ids {
			time.Sleep(500 * time.Millisecond)
			st.Add(at(0, "t1", id, ""))
		}
	}
	for name, test := range map[string]struct {
		before, meanwhile []string
		wait              time.Duration // after the spans before
		want              int
		took              time.Duration
	}{
		"long ago":       {before: []string{"a"}, wait: time.Minute, want: 1},
		"just now":       {before: []string{"a"}, want: 1, took: quiet},
		"coming":         {before: []string{"a"}, meanwhile: []string{"b", "c"}, want: 3, took: time.Second + quiet},
		"about to come":  {meanwhile: []string{"a"}, want: 1, took: 500*time.Millisecond + quiet},
		"without an end": {meanwhile: []string{"a", "b", "c", "d", "e", "f", "g", "h"}, want: 5, took: settleTimeout},
		"nothing":        {want: 0, took: settleTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := NewStore(DefaultLimits)
				add(st, test.before...)
				time.Sleep(test.wait)
				var adding sync.WaitGroup
				defer adding.Wait()
				adding.Go(func() { add(st, test.meanwhile...) })
				begun := time.Now()
				got, err := st.Settled(t.Context(), "")
				took := time.Since(begun)
				if test.want == 0 {
					if !errors.Is(err, ErrNone) {
						t.Errorf("error %v", err)
					}
				} else if err != nil || got.Count < test.want {
					t.Errorf("got %+v, %v; want %d spans", got, err, test.want)
				}
				if took != test.took {
					t.Errorf("it took %v, want %v", took, test.took)
				}
			})
		})
	}
}
