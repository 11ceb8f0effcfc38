package sandbox

import (
	"context"
	"errors"
	"testing"

	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

func TestFeedFollowersSeeEverythingInOrder(t *testing.T) {
	t.Parallel()
	f := newFeed(nil)
	f.note("one")
	got := make(chan string, 10)
	done := make(chan error, 1)
	go func() {
		done <- f.follow(t.Context(), 0, func(e *control.Event) error { got <- e.Text; return nil })
	}()
	if first := <-got; first != "one" {
		t.Errorf("first event: %q", first)
	}
	f.note("two")
	if second := <-got; second != "two" {
		t.Errorf("second event: %q", second)
	}
	f.note("three")
	f.close()
	if err := <-done; err != nil {
		t.Errorf("a closed feed ends its followers with %v", err)
	}
	if third := <-got; third != "three" {
		t.Errorf("third event: %q", third)
	}
}

func TestFeedForgetsTheOldest(t *testing.T) {
	t.Parallel()
	f := newFeed(nil)
	for range feedKeeps + 10 {
		f.note("x")
	}
	if n := f.end(); n != feedKeeps+10 {
		t.Errorf("end: %d", n)
	}
	f.close()
	n := 0
	if err := f.follow(t.Context(), 0, func(*control.Event) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	if n < feedKeeps/2 || n > feedKeeps {
		t.Errorf("a follower from the beginning got %d events", n)
	}
}

func TestFeedFollowerGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newFeed(nil).follow(ctx, 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
}
