package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"
	"github.com/gofrs/flock"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// session is the background process of one sandbox: it owns the embedded config store and the HTTP entry,
// does the work of the bring-up, and serves the control API. Its clients only show what it does.
type session struct {
	control.UnimplementedControlServer

	state   State
	docker  *client.Client
	log     *slog.Logger
	stop    context.CancelFunc // ends Serve
	program string             // see program

	base context.Context // of the work: outlives the client that asked for it

	dialer atomic.Pointer[cluster.Client] // how the entry reaches the cluster that runs now

	mu     sync.Mutex
	up     *upRun // the last bring-up, or nil
	holds  holds  // what the session keeps open
	events *feed
}

// upRun is one bring-up: begun by a client, followed by any number of them.
type upRun struct {
	feed   *feed
	cancel context.CancelFunc
	done   chan struct{}
	plan   *plan
	err    error // valid once done is closed
}

// Serve is the session process of the sandbox: it returns when it is told to stop, or ctx ends.
// Only one can run for a sandbox; a second returns ErrSessionRuns.
func Serve(ctx context.Context, st State, log *slog.Logger) error {
	if err := os.MkdirAll(st.Dir, 0o700); err != nil {
		return err
	}
	running, err := program()
	if err != nil {
		return err
	}
	lock := flock.New(st.lock())
	if ok, err := lock.TryLock(); err != nil {
		return err
	} else if !ok {
		return ErrSessionRuns
	}
	defer lock.Unlock()
	docker, err := engine.Connect(ctx)
	if err != nil {
		return err
	}
	defer docker.Close()

	// The lock is ours, so a socket that is there was left by a process that was killed.
	if err := os.Remove(st.socket()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := listenPrivate(st.socket())
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := &session{state: st, docker: docker, log: log, stop: stop, program: running, base: ctx, events: newFeed()}
	server := grpc.NewServer()
	control.RegisterControlServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("session runs", "sandbox", st.Name, "pid", os.Getpid())

	select {
	case err = <-served:
	case <-ctx.Done():
	}
	s.mu.Lock()
	up := s.up
	s.mu.Unlock()
	if up != nil {
		up.cancel()
		<-up.done
	}
	s.events.close()
	server.GracefulStop()
	s.mu.Lock()
	defer s.mu.Unlock()
	closeErr := s.holds.close()
	log.Info("session ends", "sandbox", st.Name)
	return errors.Join(err, closeErr)
}

// waitUnlocked waits until the sandbox's session process, if there is one, has gone.
func waitUnlocked(ctx context.Context, st State) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	lock := flock.New(st.lock())
	ok, err := lock.TryLockContext(ctx, 20*time.Millisecond)
	if err != nil || !ok {
		return &fault.Timeout{WaitedFor: "the session process to end", After: time.Minute}
	}
	return lock.Unlock()
}

// sessionRuns reports whether a process holds the session's lock.
func sessionRuns(st State) (bool, error) {
	lock := flock.New(st.lock())
	ok, err := lock.TryLock()
	if ok {
		err = lock.Unlock()
	}
	return !ok, err
}

// ErrSessionRuns is returned by Serve when the sandbox has a session process already.
var ErrSessionRuns = errors.New("a session runs already")

// listenPrivate listens on a Unix socket that only its owner can use (the folder's mode 0700 guards the moment
// before the socket's own mode is set).
func listenPrivate(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen on the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// program identifies the running executable: a rebuilt one differs in size or time.
func program() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("look at our own executable: %w", err)
	}
	return fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano()), nil
}

// Hello implements the control API.
func (s *session) Hello(context.Context, *control.HelloRequest) (*control.HelloReply, error) {
	return &control.HelloReply{Program: s.program, Pid: int64(os.Getpid())}, nil
}

// Up implements the control API.
func (s *session) Up(req *control.UpRequest, stream control.Control_UpServer) error {
	run := s.startUp(UpOptions{Strict: req.Strict, NoScenario: req.NoScenario})
	if err := run.feed.follow(stream.Context(), 0, stream.Send); err != nil {
		return err
	}
	<-run.done
	if run.err != nil {
		return failed(run.err)
	}
	return nil
}

// startUp begins a bring-up, or returns the one that runs.
func (s *session) startUp(opts UpOptions) *upRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up != nil {
		select {
		case <-s.up.done:
		default:
			return s.up
		}
	}
	ctx, cancel := context.WithCancel(s.base)
	run := &upRun{feed: newFeed(), cancel: cancel, done: make(chan struct{})}
	bring := newBringUp(s, opts, run.feed)
	run.plan = bring.plan()
	s.up = run
	go func() {
		defer close(run.done)
		defer run.feed.close()
		defer cancel()
		run.err = bring.run(ctx, run.plan)
		if run.err != nil {
			s.log.Error("bring-up failed", "error", run.err)
		}
	}()
	return run
}

// Cancel implements the control API.
func (s *session) Cancel(context.Context, *control.CancelRequest) (*control.CancelReply, error) {
	s.mu.Lock()
	run := s.up
	s.mu.Unlock()
	if run == nil {
		return &control.CancelReply{}, nil
	}
	select {
	case <-run.done:
		return &control.CancelReply{}, nil
	default:
		run.cancel()
		return &control.CancelReply{Running: true}, nil
	}
}

// Status implements the control API.
func (s *session) Status(ctx context.Context, _ *control.StatusRequest) (*control.StatusReply, error) {
	st, err := s.status(ctx)
	if err != nil {
		return nil, failed(err)
	}
	b, err := json.Marshal(st)
	return &control.StatusReply{Json: b}, err
}

// Replay implements the control API.
func (s *session) Replay(ctx context.Context, req *control.ReplayRequest) (*control.ReplayReply, error) {
	results, err := s.replay(ctx, req.Names)
	if err != nil {
		return nil, failed(err)
	}
	b, err := json.Marshal(results)
	return &control.ReplayReply{Json: b}, err
}

// Fixtures implements the control API.
func (s *session) Fixtures(ctx context.Context, req *control.FixturesRequest) (*control.FixturesReply, error) {
	changes, err := s.fixtures(ctx, req.Dir, req.Apply, req.Strict)
	if err != nil {
		return nil, failed(err)
	}
	b, err := json.Marshal(changes)
	return &control.FixturesReply{Json: b}, err
}

// Stop implements the control API: it answers, and then the process ends.
func (s *session) Stop(context.Context, *control.StopRequest) (*control.StopReply, error) {
	s.stop()
	return &control.StopReply{}, nil
}

// Events implements the control API.
func (s *session) Events(_ *control.EventsRequest, stream control.Control_EventsServer) error {
	return s.events.follow(stream.Context(), s.events.end(), stream.Send)
}

// failed turns an error into what gRPC carries: its text, which is what people see.
func failed(err error) error {
	code := codes.Unknown
	switch {
	case errors.Is(err, ErrStopped), errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, errNotReady):
		code = codes.FailedPrecondition
	}
	return status.Error(code, err.Error())
}
