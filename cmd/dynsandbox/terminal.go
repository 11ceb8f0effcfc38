package main

// The rules of what is printed:
//
//   - Standard output has the result, and nothing else: text for people or, with -o json, one JSON value.
//   - Standard error has progress, notes and errors. An error begins with "error:", a hint with "hint:".
//   - Lower case, no full stop, except in sentences of help.
//   - On a terminal, running phases share one line that is rewritten; elsewhere each phase gets a line when it
//     ends, and a long one a line every ten seconds, so that a log can be read.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// printJSON prints a result for scripts.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printError prints an error and what can be done about it.
func printError(w io.Writer, err error) {
	if text := err.Error(); strings.HasSuffix(text, context.Canceled.Error()) && !strings.Contains(text, "\n") {
		fmt.Fprintln(w, "interrupted") // what was waited for says nothing to whoever ended it
		return
	}
	fmt.Fprintf(w, "error: %v\n", err)
	for _, h := range hints(err) {
		fmt.Fprintf(w, "hint: %s\n", h)
	}
}

// screen shows the events of a bring-up.
type screen struct {
	mu      sync.Mutex // reports come from several goroutines
	w       io.Writer
	tty     bool
	width   int
	running []string             // phases, in the order of their beginning
	latest  map[string]string    // what each last reported
	printed map[string]time.Time // without a terminal: when a phase last got a line
	began   map[string]time.Time
	dirty   bool   // the shared line is on the screen
	end     func() // of the ticking; nil without
}

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, latest: map[string]string{}, printed: map[string]time.Time{}, began: map[string]time.Time{}}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.tty = true
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			s.width = width
		}
	}
	return s
}

// show prints one event.
func (s *screen) show(e *control.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch e.Kind {
	case control.Event_NOTE:
		s.line("       %s", e.Text)
	case control.Event_STARTED:
		s.running = append(s.running, e.Phase)
		s.began[e.Phase], s.printed[e.Phase] = now, now
	case control.Event_PROGRESS:
		s.latest[e.Phase] = amount(e)
		s.still(e.Phase, now)
	case control.Event_DONE, control.Event_MET:
		s.drop(e.Phase)
		text := e.Text
		if e.Kind == control.Event_MET {
			text = strings.TrimPrefix(text+"; nothing to do", "; ")
		}
		if len(e.Beside) > 0 && e.Seconds >= 0.1 {
			text += " (beside " + strings.Join(e.Beside, ", ") + ")"
		}
		s.line("  ok   %-14s %6.1f s  %s", e.Phase, e.Seconds, text)
	case control.Event_FAILED:
		s.drop(e.Phase)
		s.line(" FAIL  %-14s %6.1f s", e.Phase, e.Seconds)
	case control.Event_STOPPED:
		s.drop(e.Phase)
		s.line(" stop  %-14s %6.1f s  broken off", e.Phase, e.Seconds)
	case control.Event_CHANGED:
		s.line(" edit  %-14s %s", e.Service, strings.TrimSuffix(e.File+": "+e.Text, ": "))
	case control.Event_BUILT, control.Event_LOADED:
		s.line("  ...  %-14s %6.1f s  %s", e.Service, e.Seconds, e.Text)
	case control.Event_RELOADED:
		s.line("  ok   %-14s %6.1f s  %s", e.Service, e.Seconds, e.Text)
	case control.Event_REFUSED:
		s.line(" FAIL  %-14s %s", e.Service, strings.ReplaceAll(e.Text, "\n", "\n       "))
	}
	s.shared()
}

// still prints what a phase is at, where no line is shared and nothing was printed of it for long.
func (s *screen) still(phase string, now time.Time) {
	if !s.tty && now.Sub(s.printed[phase]) > 10*time.Second {
		s.printed[phase] = now
		s.line("  ...  %-14s %s (%.0f s)", phase, s.latest[phase], now.Sub(s.began[phase]).Seconds())
	}
}

// note prints something that is told by this process and not by the session.
func (s *screen) note(text string) { s.show(&control.Event{Kind: control.Event_NOTE, Text: text}) }

// drop takes a phase off the shared line.
func (s *screen) drop(phase string) {
	for i, p := range s.running {
		if p == phase {
			s.running = append(s.running[:i:i], s.running[i+1:]...)
		}
	}
	delete(s.latest, phase)
}

// line prints one lasting line above the shared one.
func (s *screen) line(format string, args ...any) {
	s.erase()
	fmt.Fprintf(s.w, format+"\n", args...)
}

// shared rewrites the line of what runs.
func (s *screen) shared() {
	if !s.tty {
		return
	}
	s.erase()
	if len(s.running) == 0 {
		return
	}
	parts := make([]string, 0, len(s.running))
	for _, p := range s.running {
		part := fmt.Sprintf("%s %.0fs", p, time.Since(s.began[p]).Seconds())
		if l := s.latest[p]; l != "" {
			part += ": " + l
		}
		parts = append(parts, part)
	}
	text := []rune("  ...  " + strings.Join(parts, " | "))
	if s.width > 0 && len(text) >= s.width {
		text = append(text[:s.width-2], '…')
	}
	fmt.Fprint(s.w, string(text))
	s.dirty = true
}

// clear takes the shared line off the screen, before something else is printed, and ends the ticking.
func (s *screen) clear() {
	if s.end != nil {
		s.end()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// erase is clear for whoever holds the lock.
func (s *screen) erase() {
	if s.dirty {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.dirty = false
	}
}

// amount is a progress report in words.
func amount(e *control.Event) string {
	switch {
	case e.Total == 0 && e.Done == 0:
		return e.Text
	case e.Unit == "bytes":
		if e.Total == 0 {
			return fmt.Sprintf("%s, %s", e.Text, megabytes(e.Done))
		}
		return fmt.Sprintf("%s, %s of %s", e.Text, megabytes(e.Done), megabytes(e.Total))
	case e.Unit == "s":
		return fmt.Sprintf("%s, %d s of about %d s", e.Text, e.Done, e.Total)
	case e.Total == 0:
		return fmt.Sprintf("%s, %d %s", e.Text, e.Done, e.Unit)
	}
	return strings.TrimSpace(fmt.Sprintf("%s, %d of %d %s", e.Text, e.Done, e.Total, e.Unit))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// reporter shows the progress of work that is done in this process, under one phase's name, until clear is called.
func (s *screen) reporter(phase string) progress.Func {
	s.show(&control.Event{Kind: control.Event_STARTED, Phase: phase})
	s.tick()
	return func(u progress.Update) {
		s.show(&control.Event{Kind: control.Event_PROGRESS, Phase: phase, Text: u.What, Done: u.Done, Total: u.Total, Unit: u.Unit})
	}
}

// tick shows, until clear is called, that what runs goes on while nothing is reported.
func (s *screen) tick() {
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	s.end = func() { end(); <-ended }
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				s.mu.Lock()
				for _, phase := range s.running {
					s.still(phase, now)
				}
				s.shared()
				s.mu.Unlock()
			}
		}
	}()
}
