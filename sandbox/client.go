package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
)

// Client talks to the session process of one sandbox.
type Client struct {
	state   State
	conn    *grpc.ClientConn
	api     control.ControlClient
	program string // what the session runs
	pid     int    // of the session
}

// ErrNoSession is returned where a command needs a session process and none runs.
var ErrNoSession = errors.New("no session runs")

// Dial connects to the sandbox's session process, or returns ErrNoSession.
func Dial(ctx context.Context, st State) (*Client, error) {
	if _, err := os.Stat(st.socket()); err != nil {
		return nil, fmt.Errorf("%w for sandbox %q", ErrNoSession, st.Name)
	}
	// A credential of the transport is not needed: the socket's folder is ours alone.
	conn, err := grpc.NewClient("unix:"+st.socket(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32))) // reports hold the answers of whole requests
	if err != nil {
		return nil, err
	}
	c := &Client{state: st, conn: conn, api: control.NewControlClient(conn)}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// A socket that a killed process left refuses at once.
	hello, err := c.api.Hello(ctx, &control.HelloRequest{})
	if err != nil {
		conn.Close()
		if status.Code(err) == codes.Unavailable {
			return nil, fmt.Errorf("%w for sandbox %q", ErrNoSession, st.Name)
		}
		return nil, fmt.Errorf("ask the session: %w", told(err))
	}
	c.program, c.pid = hello.Program, int(hello.Pid)
	return c, nil
}

// Ensure connects to the sandbox's session process, and starts one where none runs (or where another version of
// this program runs).
func Ensure(ctx context.Context, st State) (*Client, error) {
	c, err := Dial(ctx, st)
	if err == nil {
		own, err := program()
		if err != nil || own == c.program {
			return c, err
		}
		if err := c.StopSession(ctx); err != nil {
			return nil, err
		}
	} else if !errors.Is(err, ErrNoSession) {
		return nil, err
	}
	return spawn(ctx, st)
}

// spawn starts a session process that outlives us, and waits until it answers.
func spawn(ctx context.Context, st State) (*Client, error) {
	if err := os.MkdirAll(st.Dir, 0o700); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(st.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	began, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "session", "--name", st.Name) // not CommandContext: it outlives us
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir = "/" // keeps no folder of the user's busy
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the session process: %w", err)
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	start := time.Now()
	for {
		c, err := Dial(ctx, st)
		if err == nil {
			return c, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case end := <-died:
			// Another client may have started one at the same moment; then that one is about to answer.
			if runs, err := sessionRuns(st); err != nil || !runs {
				return nil, &fault.Exec{Argv: cmd.Args, Tail: logTail(st.log(), began), Err: fmt.Errorf("the session process ended: %w", end)}
			}
			died = nil
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(start) > endLimit+time.Minute { // it may have to wait for one that is just ending
			return nil, &fault.Timeout{WaitedFor: "the session process to answer", LastSeen: err.Error(), After: time.Since(start)}
		}
	}
}

// logTail returns the last lines that were written to a log since an offset.
func logTail(path string, since int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	if _, err := f.Seek(since, io.SeekStart); err != nil {
		return ""
	}
	b, _ := io.ReadAll(f)
	return fault.Tail(b, 10)
}

// Close closes the connection; the session goes on.
func (c *Client) Close() error { return c.conn.Close() }

// UpOptions are the choices that concern one bring-up only (what a sandbox is made of is in its [Record]).
type UpOptions struct {
	Strict     bool // warnings about the launch files are errors
	NoScenario bool // leave out the scenario at the end
	NoWatch    bool // don't reload on changes of the workspace's files
}

// Up brings the platform up and shows its events; a bring-up that runs already is shown to its end first. It returns what there is
// when the platform is ready. Cancelling ctx stops only the showing: see [Client.CancelUp].
func (c *Client) Up(ctx context.Context, opts UpOptions, show func(*control.Event)) (*Summary, error) {
	stream, err := c.api.Up(ctx, &control.UpRequest{NoScenario: opts.NoScenario, Strict: opts.Strict, NoWatch: opts.NoWatch, Environment: buildEnvironment()})
	if err != nil {
		return nil, told(err)
	}
	var summary *Summary
	for {
		e, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return summary, nil
		}
		if err != nil {
			return nil, told(err)
		}
		if e.Kind == control.Event_READY {
			summary = new(Summary)
			if err := json.Unmarshal([]byte(e.Text), summary); err != nil {
				return nil, fmt.Errorf("read the session's summary: %w", err)
			}
			continue
		}
		show(e)
	}
}

// CancelUp asks a running bring-up to stop at a safe point, and reports whether there was one.
func (c *Client) CancelUp(ctx context.Context) (bool, error) {
	r, err := c.api.Cancel(ctx, &control.CancelRequest{})
	if err != nil {
		return false, told(err)
	}
	return r.Running, nil
}

// Reload builds services anew, all when none is named, and brings what differs into the running platform. It shows what
// comes of it, and returns an error when one of them isn't in the platform.
func (c *Client) Reload(ctx context.Context, services []string, show func(*control.Event)) error {
	stream, err := c.api.Reload(ctx, &control.ReloadRequest{Services: services})
	if err != nil {
		return told(err)
	}
	return showAll(stream.Recv, show)
}

// Await returns when every change of a file that was made before the call is in the running platform: of one service, or
// of all when it is empty. It is an error if a change couldn't be brought there.
func (c *Client) Await(ctx context.Context, service string) error {
	_, err := c.api.Await(ctx, &control.AwaitRequest{Service: service})
	return told(err)
}

// Events shows what happens in the session from now on, until ctx ends or the session does.
func (c *Client) Events(ctx context.Context, show func(*control.Event)) error {
	stream, err := c.api.Events(ctx, &control.EventsRequest{})
	if err != nil {
		return told(err)
	}
	return showAll(stream.Recv, show)
}

// showAll shows a stream's events to its end.
func showAll(next func() (*control.Event, error), show func(*control.Event)) error {
	for {
		e, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return told(err)
		}
		show(e)
	}
}

// Status returns what runs.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	r, err := c.api.Status(ctx, &control.StatusRequest{})
	if err != nil {
		return nil, told(err)
	}
	st := new(Status)
	return st, json.Unmarshal(r.Json, st)
}

// Replay runs scenarios, all of the workspace's when none is named.
func (c *Client) Replay(ctx context.Context, names []string) (*ReplayReport, error) {
	r, err := c.api.Replay(ctx, &control.ReplayRequest{Names: names})
	if err != nil {
		return nil, told(err)
	}
	report := new(ReplayReport)
	return report, json.Unmarshal(r.Json, report)
}

// Trace returns what spans have arrived of the newest request, or of the newest that is of a job, a correlation id, a trace id
// or the beginning of one. Without any it is [tracing.ErrNone].
func (c *Client) Trace(ctx context.Context, of string) (*tracing.Trace, error) {
	r, err := c.api.Trace(ctx, &control.TraceRequest{Of: of})
	if err != nil {
		return nil, told(err)
	}
	t := new(tracing.Trace)
	return t, json.Unmarshal(r.Json, t)
}

// Traces lists the requests of which spans have arrived, the newest first, without the spans.
func (c *Client) Traces(ctx context.Context) ([]*tracing.Trace, error) {
	r, err := c.api.Traces(ctx, &control.TracesRequest{})
	if err != nil {
		return nil, told(err)
	}
	var list []*tracing.Trace
	return list, json.Unmarshal(r.Json, &list)
}

// Fixtures compares a folder of launch files (the workspace's when dir is empty) with the config store, and with
// apply set writes what differs.
func (c *Client) Fixtures(ctx context.Context, dir string, apply, strict bool) (*FixturesReport, error) {
	r, err := c.api.Fixtures(ctx, &control.FixturesRequest{Dir: dir, Apply: apply, Strict: strict})
	if err != nil {
		return nil, told(err)
	}
	report := new(FixturesReport)
	return report, json.Unmarshal(r.Json, report)
}

// StopSession ends the session process and waits until it has gone; one that doesn't come to its end is killed. Cluster
// and broker stay as they are.
func (c *Client) StopSession(ctx context.Context) error {
	if _, err := c.api.Stop(ctx, &control.StopRequest{}); err != nil && status.Code(err) != codes.Unavailable {
		return told(err)
	}
	c.conn.Close()
	err := waitUnlocked(ctx, c.state)
	if err == nil || ctx.Err() != nil || c.pid <= 0 {
		return err
	}
	// It doesn't come to its end. What it held is what a killed one leaves, which every command can cope with.
	if err := syscall.Kill(c.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("end the session process: %w", err)
	}
	return waitUnlocked(ctx, c.state)
}
