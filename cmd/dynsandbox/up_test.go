package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynsandbox/dynsandbox/sandbox"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// fakeSession stands in for a session process: its bring-up is what a test says.
type fakeSession struct {
	control.UnimplementedControlServer
	up      func(cancelled <-chan struct{}, send func(*control.Event) error) error
	events  func(control.Control_EventsServer) error
	program string        // what it says it runs
	hold    chan struct{} // when not nil, answering Cancel takes until it is closed

	cancels   atomic.Int32
	cancelled chan struct{}
}

func (f *fakeSession) Hello(context.Context, *control.HelloRequest) (*control.HelloReply, error) {
	return &control.HelloReply{Program: f.program}, nil
}

func (f *fakeSession) Up(_ *control.UpRequest, s control.Control_UpServer) error {
	return f.up(f.cancelled, s.Send)
}

func (f *fakeSession) Cancel(context.Context, *control.CancelRequest) (*control.CancelReply, error) {
	if f.cancels.Add(1) == 1 {
		close(f.cancelled)
	}
	if f.hold != nil {
		<-f.hold
	}
	return &control.CancelReply{Running: true}, nil
}

func (f *fakeSession) Events(_ *control.EventsRequest, s control.Control_EventsServer) error {
	return f.events(s)
}

// serve makes f the session of the default sandbox, in a state folder of its own.
func (f *fakeSession) serve(t *testing.T) sandbox.State {
	t.Helper()
	// t.TempDir is too long for the path of a socket.
	dir, err := os.MkdirTemp("", "dynsandbox-test-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("XDG_STATE_HOME", dir)
	st, err := sandbox.Locate(sandbox.DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(st.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(st.Dir, "session.sock"))
	if err != nil {
		t.Fatal(err)
	}
	f.cancelled = make(chan struct{})
	server := grpc.NewServer()
	control.RegisterControlServer(server, f)
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return st
}

// follow follows the bring-up of f as `up` does, and returns its error and what it printed.
func (f *fakeSession) follow(ctx context.Context, t *testing.T, attach bool) (out, errs string, err error) {
	t.Helper()
	client, err := sandbox.Dial(ctx, f.serve(t))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var stdout, stderr bytes.Buffer
	g := &global{streams: streams{out: &stdout, err: &stderr}, output: "text"}
	err = g.follow(ctx, client, sandbox.UpOptions{}, attach)
	settle()
	return stdout.String(), stderr.String(), err
}

// settle waits until what the end of a context has set off is through.
func settle() {
	stacks := make([]byte, 1<<20)
	for bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("context.(*afterFuncCtx)")) {
		runtime.Gosched()
	}
}

// ready is the event that ends a bring-up.
func ready(t *testing.T, s sandbox.Summary) *control.Event {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return &control.Event{Kind: control.Event_READY, Text: string(b)}
}

func TestInterruptStopsAtASafePoint(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	f := &fakeSession{up: func(cancelled <-chan struct{}, send func(*control.Event) error) error {
		interrupt()
		<-cancelled
		if err := send(&control.Event{Kind: control.Event_DONE, Phase: "cluster"}); err != nil {
			return err
		}
		return status.Error(codes.Canceled, sandbox.ErrStopped.Error())
	}}
	_, errs, err := f.follow(ctx, t, false)
	if exitCode(err) != exitInterrupted {
		t.Errorf("error %v, want that of an interrupt", err)
	}
	for _, want := range []string{"stopping at a safe point", "ok   cluster"} {
		if !strings.Contains(errs, want) {
			t.Errorf("%q isn't in what was shown:\n%s", want, errs)
		}
	}
}

// Once the platform is ready, an interrupt must not break off a bring-up that somebody else began.
func TestInterruptDetaches(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	f := &fakeSession{
		up: func(_ <-chan struct{}, send func(*control.Event) error) error {
			return send(ready(t, sandbox.Summary{}))
		},
		events: func(s control.Control_EventsServer) error {
			interrupt()
			<-s.Context().Done()
			return nil
		},
	}
	out, errs, err := f.follow(ctx, t, true)
	if err != nil {
		t.Errorf("detaching failed: %v", err)
	}
	if !strings.Contains(out, "ready in") {
		t.Errorf("no summary in:\n%s", out)
	}
	if n := f.cancels.Load(); n > 0 || strings.Contains(errs, "stopping") {
		t.Errorf("the session was asked %d times to stop; shown:\n%s", n, errs)
	}
}

// A scenario that failed is no reason to go: what happens next is what one wants to see.
func TestAttachAfterFailedScenario(t *testing.T) {
	f := &fakeSession{
		up: func(_ <-chan struct{}, send func(*control.Event) error) error {
			return send(ready(t, sandbox.Summary{Scenario: &sandbox.ReplayReport{Passed: false}}))
		},
		events: func(s control.Control_EventsServer) error {
			return s.Send(&control.Event{Kind: control.Event_NOTE, Text: "reloaded agent"})
		},
	}
	_, errs, err := f.follow(t.Context(), t, true)
	if exitCode(err) != exitFailed {
		t.Errorf("error %v, want that of the scenario", err)
	}
	if !strings.Contains(errs, "reloaded agent") {
		t.Errorf("events were not shown: %q", errs)
	}
}

// The second Ctrl-C ends up at once, even while the first one's request is unanswered.
func TestSecondInterruptLeavesAtOnce(t *testing.T) {
	path, err := exec.LookPath("dynsandbox")
	if err != nil {
		t.Fatal(err)
	}
	hold := make(chan struct{})
	defer close(hold)
	f := &fakeSession{
		hold:    hold,
		program: contentHash(t, path), // else up replaces the session
		up: func(_ <-chan struct{}, send func(*control.Event) error) error {
			if err := send(&control.Event{Kind: control.Event_NOTE, Text: "begun"}); err != nil {
				return err
			}
			<-hold
			return nil
		},
	}
	f.serve(t)
	up := exec.CommandContext(t.Context(), path, "up")
	shown := start(t, up)
	shown("begun")
	interrupt(t, up)
	shown("stopping at a safe point")
	<-f.cancelled
	interrupt(t, up)
	wantInterrupted(t, up)
}

// start starts a command and returns a function that waits until the command has printed some text.
func start(t *testing.T, cmd *exec.Cmd) (shown func(text string)) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		r.Close()
	})
	var all strings.Builder
	return func(text string) {
		t.Helper()
		buf := make([]byte, 4096)
		for !strings.Contains(all.String(), text) {
			n, err := r.Read(buf)
			all.Write(buf[:n])
			if err == io.EOF {
				t.Fatalf("it ended without %q, after:\n%s", text, all.String())
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func interrupt(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
}

// contentHash is what a program says of itself.
func contentHash(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// wantInterrupted waits for the end of a command, which must be that of a program that SIGINT ends.
func wantInterrupted(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	err := cmd.Wait()
	if s, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want the signal", err)
	}
}
