package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestExchangesSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := exchanges{open: map[string]*exchange{}}
		settled := func() <-chan time.Duration {
			took := make(chan time.Duration, 1)
			begun := time.Now()
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				x.settle(ctx)
				took <- time.Since(begun)
			}()
			synctest.Wait()
			return took
		}
		if took := <-settled(); took != 0 {
			t.Errorf("none open: settled after %v", took)
		}
		x.begin("answered", &exchange{})
		x.begin("dropped", &exchange{})
		waiting := settled()
		time.Sleep(time.Second)
		x.advance("answered", "UVA-in", "UVA-in", false)
		time.Sleep(time.Second)
		x.drop("dropped")
		if took := <-waiting; took != 2*time.Second {
			t.Errorf("two open: settled after %v, want when the second has gone", took)
		}
		x.begin("lost", &exchange{})
		if took := <-settled(); took != time.Minute {
			t.Errorf("one that stays open: settled after %v, want as long as the context allows", took)
		}
	})
}
