package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// holds is what the session process keeps open between bring-ups, and what it knows from the last one that came
// through. It is guarded by the session's mutex.
type holds struct {
	store     *fixtures.Store
	receivers map[netip.AddrPort]*tracing.Receiver
	entry     *cluster.Entry
	entryDone chan error
	entryStop context.CancelFunc

	ready    *ready             // nil until a bring-up came through
	reloader *reloader          // likewise
	unwatch  context.CancelFunc // stops the watching of the workspace; nil while it isn't watched
	watched  watched            // what of the workspace is watched
}

// ready is what a bring-up leaves for those who ask the session later.
type ready struct {
	workspace *workspace
	nodes     images.Nodes
	client    *cluster.Client
	mounts    *mounts // nil with the mount off
}

// keepReady notes what a bring-up, or a reload, has left.
func (s *session) keepReady(b *bringUp) *ready {
	r := &ready{workspace: b.workspace, nodes: s.nodes(), client: b.client}
	if m := s.mounts(); b.record.Mount {
		r.mounts = &m
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds.ready = r
	return r
}

// lastReady returns what the last bring-up has left; nil before one came through.
func (s *session) lastReady() *ready {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds.ready
}

// close closes everything, the entry first: it dials Pods.
func (h *holds) close() error {
	if h.unwatch != nil {
		h.unwatch()
	}
	err := h.closeEntry()
	for _, r := range h.receivers {
		r.Close()
	}
	if h.store != nil {
		err = errors.Join(err, h.store.Close())
	}
	*h = holds{}
	return err
}

func (h *holds) closeEntry() error {
	if h.entry == nil {
		return nil
	}
	h.entryStop()
	h.entry = nil
	return <-h.entryDone
}

// startStore is the phase "config-store".
func (b *bringUp) startStore(ctx context.Context) (string, error) {
	record, err := b.session.openStore(ctx, b.network)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("at 127.0.0.1:%d, and %s for Pods", record.EtcdPort, storeForPods(b.network)), nil
}

// etcdPort is the one that DYNAMOS has compiled in.
const etcdPort = 2379

func storeForPods(n cluster.Network) netip.AddrPort { return netip.AddrPortFrom(n.Gateway, etcdPort) }

// openStore opens the config store, if it isn't open yet. It listens on loopback for the user's tools, and on the
// gateway of the sandbox's network for Pods: nowhere else. The port on loopback was free when it was chosen; when
// something else has it by now another is.
func (s *session) openStore(ctx context.Context, net cluster.Network) (Record, error) {
	record, err := s.state.Read()
	if err != nil || s.store() != nil {
		return record, err
	}
	loopback := func(port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))
	}
	cfg := fixtures.StoreConfig{Dir: s.state.etcdData(), Listen: []netip.AddrPort{loopback(record.EtcdPort), storeForPods(net)}}
	store, err := fixtures.Start(ctx, cfg)
	if errors.Is(err, syscall.EADDRINUSE) {
		if record, err = s.state.Update(func(r *Record) (err error) { r.EtcdPort, err = loopbackPort(etcdPort); return err }); err != nil {
			return record, err
		}
		cfg.Listen[0] = loopback(record.EtcdPort)
		store, err = fixtures.Start(ctx, cfg)
	}
	if err != nil {
		return record, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds.store = store
	return record, nil
}

// applyLaunchFiles is the phase "launch-files".
func (b *bringUp) applyLaunchFiles(ctx context.Context) (string, error) {
	changes, err := b.session.applySet(ctx, b.workspace.launch, b.workspace.dir)
	if err != nil {
		return "", err
	}
	return changes.Summary(), nil
}

// applySet writes launch files to the config store and to the folder that the orchestrator mounts: it seeds the
// store from there when it starts.
func (s *session) applySet(ctx context.Context, set *fixtures.Set, from string) (fixtures.Changes, error) {
	store := s.store()
	if store == nil {
		return fixtures.Changes{}, ErrNotReady
	}
	if err := set.Write(s.state.launchFiles()); err != nil {
		return fixtures.Changes{}, fmt.Errorf("put launch files of %s where the orchestrator reads them: %w", from, err)
	}
	return store.Apply(ctx, set)
}

// openEntry is the phase "entry".
func (b *bringUp) openEntry(ctx context.Context) (string, error) {
	if _, err := b.session.openEntry(ctx, b.client); err != nil {
		return "", err
	}
	return b.session.entry().URL("api-gateway", "api-gateway"), nil
}

// openEntry opens the HTTP entry on loopback, if it isn't open on the recorded port yet, and has it lead to the
// cluster of client. A port that nobody asked for is given up for another when something else has it by now.
func (s *session) openEntry(ctx context.Context, client *cluster.Client) (Record, error) {
	s.dialer.Store(client)
	record, err := s.state.Read()
	if err != nil {
		return record, err
	}
	if open := s.entry(); open != nil {
		if open.Port() == record.HTTPPort {
			return record, nil
		}
		s.mu.Lock()
		err := s.holds.closeEntry()
		s.mu.Unlock()
		if err != nil {
			return record, err
		}
	}
	entry, err := cluster.Listen(ctx, record.HTTPPort, liveDialer{&s.dialer})
	if errors.Is(err, syscall.EADDRINUSE) && !record.PortAsked {
		if record, err = s.state.Update(func(r *Record) (err error) { r.HTTPPort, err = loopbackPort(defaultHTTPPort); return err }); err != nil {
			return record, err
		}
		entry, err = cluster.Listen(ctx, record.HTTPPort, liveDialer{&s.dialer})
	}
	if err != nil {
		return record, err
	}
	serving, stop := context.WithCancel(s.base)
	done := make(chan error, 1)
	go func() { done <- entry.Serve(serving) }()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds.entry, s.holds.entryDone, s.holds.entryStop = entry, done, stop
	return record, nil
}

// entry returns the HTTP entry, or nil when it isn't open.
func (s *session) entry() *cluster.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds.entry
}

// resume opens again what a session before this one held, as far as what it leads to is there: requests are answered
// from then on, whatever the bring-up that follows finds wrong.
func (s *session) resume(ctx context.Context) error {
	network, found, err := cluster.FindNetwork(ctx, s.docker, s.state.Name, s.state.Dir)
	if err != nil || !found {
		return err
	}
	if _, err := s.openStore(ctx, network); err != nil {
		return err
	}
	_, _ = s.receiveSpans(ctx, network) // the bring-up that follows tells what is wrong
	c, err := s.cluster(network, "", "", "", 0)
	if err != nil {
		return err
	}
	if state, err := c.State(ctx); err != nil || state != cluster.Running {
		return err
	}
	client, err := c.Client()
	if err != nil {
		return err
	}
	_, err = s.openEntry(ctx, client)
	return err
}

// store returns the config store, or nil when it isn't open.
func (s *session) store() *fixtures.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds.store
}

// gateway is the platform as scenarios see it.
func (s *session) gateway() (scenarios.Platform, error) {
	entry := s.entry()
	if entry == nil {
		return nil, ErrNotReady
	}
	return scenarios.Gateway{URL: fmt.Sprintf("http://127.0.0.1:%d", entry.Port())}, nil
}
