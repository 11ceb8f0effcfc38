package sandbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"
	"github.com/gofrs/flock"
	"google.golang.org/grpc"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
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

	connected   sync.Mutex
	nodesByName images.Nodes // those that were connected to

	directories images.DirectoryReader // of what is mounted

	spans    *tracing.Store           // of the platform's services
	replayed atomic.Pointer[replayed] // the last scenario

	work    work
	batches atomic.Int32 // of changed files, that nobody has looked at yet
	sorting int          // of them, whose services aren't known yet; guarded by work
	batched time.Time    // when the last of them was through; guarded by work

	told *cluster.Sensitive // what services are told is sensitive; nil: that isn't known; guarded by work

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

// Serve is the session process of the sandbox: it returns when it is told to stop, or ctx ends. Only one can run for a
// sandbox: while another answers it returns ErrSessionRuns, and one that is just ending it waits for.
func Serve(ctx context.Context, st State, log *slog.Logger) error {
	if err := os.MkdirAll(st.Dir, 0o700); err != nil {
		return err
	}
	running, err := program()
	if err != nil {
		return err
	}
	lock := flock.New(st.lock())
	for {
		if ok, err := lock.TryLock(); err != nil {
			return err
		} else if ok {
			break
		}
		if c, err := Dial(ctx, st); err == nil {
			return errors.Join(ErrSessionRuns, c.Close())
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
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
	s := &session{state: st, docker: docker, log: log, stop: stop, program: running, base: ctx, events: newFeed(nil),
		spans: tracing.NewStore(tracing.DefaultLimits)}
	server := grpc.NewServer()
	control.RegisterControlServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("session runs", "sandbox", st.Name, "pid", os.Getpid())

	select {
	case err = <-served:
		stop()
	case <-ctx.Done():
	}
	s.mu.Lock()
	up := s.up
	s.mu.Unlock()
	if up != nil {
		<-up.done // its context has ended with ours
	}
	// So has that of a reload, which leaves the platform as it was.
	if err := s.work.lockAlone(context.WithoutCancel(ctx), everything); err != nil {
		return err
	}
	defer s.work.unlockAlone()
	s.events.close()
	// A client that doesn't read, or a request that takes its time, keeps nobody.
	defer time.AfterFunc(goodbye, server.Stop).Stop()
	server.GracefulStop()
	s.mu.Lock()
	defer s.mu.Unlock()
	closeErr := s.holds.close()
	log.Info("session ends", "sandbox", st.Name)
	return errors.Join(err, closeErr, s.disconnect())
}

// goodbye is how long clients have to take what was on its way to them when the session ends.
const goodbye = 2 * time.Second

// sleep returns after d, or ctx's error before.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// endLimit is how long a session may take to end. An unfinished cluster is removed meanwhile, which takes up to a minute.
const endLimit = 90 * time.Second

// waitUnlocked waits until the sandbox's session process, if there is one, has gone.
func waitUnlocked(ctx context.Context, st State) error {
	ctx, cancel := context.WithTimeout(ctx, endLimit)
	defer cancel()
	lock := flock.New(st.lock())
	ok, err := lock.TryRLockContext(ctx, 20*time.Millisecond)
	if err != nil || !ok {
		return &fault.Timeout{WaitedFor: "the session process to end", After: endLimit}
	}
	return lock.Unlock()
}

// sessionRuns reports whether a process holds the session's lock.
func sessionRuns(st State) (bool, error) {
	lock := flock.New(st.lock())
	ok, err := lock.TryRLock()
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

// program identifies the running executable by its content: one that was built again from the same sources is the same.
func program() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("look at our own executable: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read our own executable: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Hello implements the control API.
func (s *session) Hello(context.Context, *control.HelloRequest) (*control.HelloReply, error) {
	return &control.HelloReply{Program: s.program, Pid: int64(os.Getpid())}, nil
}

// Up implements the control API. A bring-up that runs already is shown to its end first; what was changed since it read
// the workspace needs another, unless somebody had it stopped.
func (s *session) Up(req *control.UpRequest, stream control.Control_UpServer) error {
	for {
		run, begun := s.startUp(UpOptions{Strict: req.Strict, NoScenario: req.NoScenario, NoWatch: req.NoWatch}, req.Environment)
		if err := run.feed.follow(stream.Context(), 0, stream.Send); err != nil {
			return err
		}
		<-run.done
		if begun || errors.Is(run.err, ErrStopped) {
			return failed(s.scrub(run.err))
		}
		if run.err != nil {
			note := "the bring-up that ran already failed, and this is another: " + s.scrub(run.err).Error()
			if err := stream.Send(&control.Event{Kind: control.Event_NOTE, Text: note}); err != nil {
				return err
			}
		}
	}
}

// startUp begins a bring-up, or returns the one that runs.
func (s *session) startUp(opts UpOptions, environment map[string]string) (_ *upRun, begun bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.up != nil {
		select {
		case <-s.up.done:
		default:
			return s.up, false
		}
	}
	setEnvironment(environment)
	ctx, cancel := context.WithCancel(s.base)
	run := &upRun{feed: newFeed(s.events), cancel: cancel, done: make(chan struct{})}
	bring := newBringUp(s, opts, run.feed)
	run.plan = bring.plan(s.base)
	first := s.up == nil
	s.up = run
	go func() {
		defer close(run.done)
		defer run.feed.close()
		defer cancel()
		if s.workAlone(ctx, run.feed, everything) != nil {
			run.err = ErrStopped
			return
		}
		defer s.work.unlockAlone()
		if first {
			if err := s.resume(ctx); err != nil {
				s.log.Warn("what an earlier session held is not open yet", "error", s.scrub(err))
			}
		}
		run.err = bring.run(ctx, run.plan)
		if run.err != nil {
			s.log.Error("bring-up failed", "error", s.scrub(run.err))
		}
	}()
	return run, true
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
		return nil, failed(s.scrub(err))
	}
	b, err := json.Marshal(st)
	return &control.StatusReply{Json: b}, err
}

// Replay implements the control API.
func (s *session) Replay(ctx context.Context, req *control.ReplayRequest) (*control.ReplayReply, error) {
	results, err := s.replay(ctx, req.Names)
	if err != nil {
		return nil, failed(s.scrub(err))
	}
	b, err := json.Marshal(results)
	return &control.ReplayReply{Json: b}, err
}

// Fixtures implements the control API.
func (s *session) Fixtures(ctx context.Context, req *control.FixturesRequest) (*control.FixturesReply, error) {
	changes, err := s.fixtures(ctx, req.Dir, req.Apply, req.Strict)
	if err != nil {
		return nil, failed(s.scrub(err))
	}
	b, err := json.Marshal(changes)
	return &control.FixturesReply{Json: b}, err
}

// Reload implements the control API.
func (s *session) Reload(req *control.ReloadRequest, stream control.Control_ReloadServer) error {
	events := newFeed(s.events)
	failure := make(chan error, 1)
	go func() {
		defer events.close()
		failure <- s.reload(s.base, req.Services, events)
	}()
	if err := events.follow(stream.Context(), 0, stream.Send); err != nil {
		return err
	}
	return failed(s.scrub(<-failure))
}

// Await implements the control API.
func (s *session) Await(ctx context.Context, req *control.AwaitRequest) (*control.AwaitReply, error) {
	if err := s.settled(ctx); err != nil {
		return nil, failed(err)
	}
	s.work.Lock()
	defer s.work.Unlock()
	err := s.work.until(ctx, func() bool {
		r := s.reloader()
		return r == nil || s.work.alone == 0 && s.sorting == 0 && !r.undecided(req.Service)
	})
	if err != nil {
		return nil, failed(err)
	}
	r := s.reloader()
	if r == nil {
		return nil, failed(ErrNotReady)
	}
	// Only now: a service that was just made is known once its chart is in.
	if err := r.known(req.Service); err != nil {
		return nil, failed(cmp.Or(r.problem(workspaceItself), err)) // the charts that bring it may have been refused
	}
	return &control.AwaitReply{}, failed(r.problem(req.Service))
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
