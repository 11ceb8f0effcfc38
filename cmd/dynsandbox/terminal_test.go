package main

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/sandbox"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// Without a terminal each phase is one line, when it ends: nothing is rewritten, so that a log can be read.
func TestScreenWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	for _, e := range []*control.Event{
		{Kind: control.Event_STARTED, Phase: "network"},
		{Kind: control.Event_STARTED, Phase: "build"},
		{Kind: control.Event_PROGRESS, Phase: "build", Text: "compile agent", Done: 1, Total: 7},
		{Kind: control.Event_NOTE, Text: "cgroup v1"},
		{Kind: control.Event_MET, Phase: "network", Seconds: 0.02, Text: "172.20.0.0/16", Beside: []string{"build"}},
		{Kind: control.Event_MET, Phase: "broker"},
		{Kind: control.Event_DONE, Phase: "build", Seconds: 12.34, Text: "7 images", Beside: []string{"network", "broker"}},
		{Kind: control.Event_STARTED, Phase: "load"},
		{Kind: control.Event_FAILED, Phase: "load", Seconds: 1.5, Text: "no space"},
	} {
		s.show(e)
	}
	s.clear()
	want := `       cgroup v1
  ok   network           0.0 s  172.20.0.0/16; nothing to do
  ok   broker            0.0 s  nothing to do
  ok   build            12.3 s  7 images (beside network, broker)
 FAIL  load              1.5 s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

// On a terminal the phases that run share the last line, cut to its width, and lasting lines go above it.
func TestScreenOnTerminal(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.tty, s.width = true, 30 // columns
	s.show(&control.Event{Kind: control.Event_STARTED, Phase: "build"})
	s.show(&control.Event{Kind: control.Event_PROGRESS, Phase: "build", Text: "compile", Done: 1, Total: 2})
	s.show(&control.Event{Kind: control.Event_STARTED, Phase: "network"})
	s.note("cgroup v1")
	s.clear()
	s.clear() // the line is gone: nothing more to take off
	const erase = "\r\x1b[K"
	want := "  ...  build 0s" +
		erase + "  ...  build 0s: compile, 1 …" +
		erase + "  ...  build 0s: compile, 1 …" +
		erase + "       cgroup v1\n" + "  ...  build 0s: compile, 1 …" +
		erase
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("screen (-want +got):\n%s", diff)
	}
}

// Long work shows that it goes on while it reports nothing.
func TestReporterOfSilentWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := newScreen(&out)
		report := s.reporter("venv")
		report(progress.Update{What: "installing collected packages"})
		time.Sleep(25 * time.Second)
		s.clear()
		time.Sleep(time.Minute)
		want := `  ...  venv           installing collected packages (11 s)
  ...  venv           installing collected packages (22 s)
`
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("screen (-want +got):\n%s", diff)
		}
	})
}

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		event *control.Event
		want  string
	}{
		{&control.Event{Text: "wait"}, "wait"},
		{&control.Event{Text: "load", Done: 1_500_000, Unit: "bytes"}, "load, 1.5 MB"},
		{&control.Event{Text: "load", Done: 1_500_000, Total: 26_000_000, Unit: "bytes"}, "load, 1.5 MB of 26.0 MB"},
		{&control.Event{Text: "boot", Done: 3, Total: 20, Unit: "s"}, "boot, 3 s of about 20 s"},
		{&control.Event{Text: "build", Done: 2, Unit: "steps"}, "build, 2 steps"},
		{&control.Event{Text: "build", Done: 2, Total: 7}, "build, 2 of 7"},
	} {
		if got := amount(c.event); got != c.want {
			t.Errorf("amount is %q, want %q", got, c.want)
		}
	}
}

func TestPrintError(t *testing.T) {
	var out bytes.Buffer
	printError(&out, sandbox.ErrOtherWorkspace)
	want := `error: the sandbox has another workspace
hint: a second sandbox beside it: dynsandbox up --name OTHER --workspace DIR
hint: or start anew: dynsandbox down --purge
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}
