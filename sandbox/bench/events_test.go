package main

import (
	"strings"
	"testing"
	"time"
)

// streamOf is a stream of events that ends after them.
func streamOf(events ...event) *stream {
	ch := make(chan event, len(events))
	for _, e := range events {
		ch <- e
	}
	close(ch)
	return &stream{ch, func() {}, map[string]time.Time{}}
}

func TestAwait(t *testing.T) {
	built, loaded := event{Kind: "built", Service: "agent"}, event{Kind: "loaded", Service: "agent, sidecar"}
	others := event{Kind: "loaded", Service: "agents"}
	s := streamOf(built, others, loaded, built)
	if err := s.await(t.Context(), "loaded", "agent"); err != nil {
		t.Error(err)
	}
	if _, ok := s.seen["built"]; !ok {
		t.Error("what happened on the way was not noted")
	}
	if e := <-s.events; e != built {
		t.Errorf("the next event is %v: one too early or too late was taken", e)
	}
	if err := s.await(t.Context(), "loaded", "agent"); err == nil {
		t.Error("waited with success for an event that never came")
	}
}

// A change that is refused will never be loaded: whoever waits for that is told at once, with the compiler's words.
func TestAwaitRefused(t *testing.T) {
	s := streamOf(event{Kind: "refused", Service: "sidecar", Text: "not mine"},
		event{Kind: "refused", Service: "agent", Text: "main.go:1: syntax error"}, event{Kind: "loaded", Service: "agent"})
	if err := s.await(t.Context(), "loaded", "agent"); err == nil || !strings.Contains(err.Error(), "syntax error") {
		t.Errorf("got %v", err)
	}
}
