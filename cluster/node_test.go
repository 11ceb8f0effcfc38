package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// brokenSource gives something, and then fails.
type brokenSource struct{ io.Reader }

func (b brokenSource) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("the source broke")
	}
	return n, err
}

func TestExec(t *testing.T) {
	t.Parallel()
	discard := func(_ []string, in io.Reader, _, _ io.Writer) int { io.Copy(io.Discard, in); return 0 }
	for name, tc := range map[string]struct {
		command enginetest.Command
		stdin   io.Reader
		out     string
		err     string // in the error
		tail    string // of what the command said
	}{
		"output": {command: func(argv []string, _ io.Reader, out, errs io.Writer) int {
			fmt.Fprint(out, strings.Join(argv, " "))
			fmt.Fprint(errs, "warning")
			return 0
		}, out: "run it"},
		"input": {command: func(_ []string, in io.Reader, out, _ io.Writer) int { io.Copy(out, in); return 0 }, stdin: strings.NewReader("sent"), out: "sent"},
		"failure": {command: func(_ []string, _ io.Reader, out, errs io.Writer) int {
			fmt.Fprint(out, "half")
			fmt.Fprint(errs, "no such image")
			return 3
		}, out: "half", err: "exit status 3", tail: "no such image"},
		"failure told on standard output": {command: func(_ []string, _ io.Reader, out, _ io.Writer) int { fmt.Fprint(out, "no"); return 1 }, out: "no", err: "exit status 1", tail: "no"},
		// A truncated archive must not pass for the whole.
		"source breaks":                 {command: discard, stdin: brokenSource{strings.NewReader("part")}, err: "the source broke"},
		"source breaks and it failed":   {command: func(_ []string, in io.Reader, _, _ io.Writer) int { io.Copy(io.Discard, in); return 2 }, stdin: brokenSource{strings.NewReader("part")}, err: "exit status 2"},
		"it doesn't need all its input": {command: func([]string, io.Reader, io.Writer, io.Writer) int { return 0 }, stdin: strings.NewReader(strings.Repeat("x", 8<<20))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &enginetest.Engine{Containers: []container.InspectResponse{node("running")}, Exec: tc.command}
			out, err := NewNode(e.Start(t), "dynsandbox-example-control-plane").Exec(t.Context(), tc.stdin, "run", "it")
			if string(out) != tc.out {
				t.Errorf("got %q, want %q", out, tc.out)
			}
			if tc.err == "" {
				if err != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			var failed *fault.Exec
			if !errors.As(err, &failed) || !strings.Contains(failed.Err.Error(), tc.err) || failed.Tail != tc.tail {
				t.Errorf("got %v, want a *fault.Exec with %q and %q", err, tc.err, tc.tail)
			}
		})
	}
}

func TestExecCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	e := &enginetest.Engine{Containers: []container.InspectResponse{node("running")}, Exec: func(_ []string, in io.Reader, _, _ io.Writer) int {
		cancel()
		io.Copy(io.Discard, in) // until the client goes away
		return 0
	}}
	if _, err := NewNode(e.Start(t), "dynsandbox-example-control-plane").Exec(ctx, nil, "sleep"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
