package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// holds is what the session process keeps open between bring-ups, and what it knows from the last one that came
// through. It is guarded by the session's mutex.
type holds struct {
	store     *fixtures.Store
	entry     *cluster.Entry
	entryDone chan error
	entryStop context.CancelFunc

	ready *ready // nil until a bring-up came through
}

// ready is what a bring-up leaves for those who ask the session later.
type ready struct {
	workspace *workspace
	cluster   *cluster.Cluster
	client    *cluster.Client
}

// close closes everything, the entry first: it dials Pods.
func (h *holds) close() error {
	var errs []error
	if h.entry != nil {
		h.entryStop()
		errs = append(errs, <-h.entryDone)
	}
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	*h = holds{}
	return errors.Join(errs...)
}

// startStore is the phase "config-store". The store listens on loopback for the user's tools, and on the gateway
// of the sandbox's network for Pods: nowhere else.
func (b *bringUp) startStore(ctx context.Context) (string, error) {
	s := b.session
	s.mu.Lock()
	defer s.mu.Unlock()
	pods := netip.AddrPortFrom(b.network.Gateway, etcdPort)
	text := fmt.Sprintf("at 127.0.0.1:%d, and %s for Pods", b.record.EtcdPort, pods)
	if s.holds.store != nil {
		return text, nil
	}
	store, err := fixtures.Start(ctx, fixtures.StoreConfig{
		Dir:    s.state.etcdData(),
		Listen: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(b.record.EtcdPort)), pods},
	})
	if err != nil {
		return "", err
	}
	s.holds.store = store
	return text, nil
}

// etcdPort is the one that DYNAMOS has compiled in.
const etcdPort = 2379

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
		return fixtures.Changes{}, errNotReady
	}
	if err := set.Write(s.state.launchFiles()); err != nil {
		return fixtures.Changes{}, fmt.Errorf("put launch files of %s where the orchestrator reads them: %w", from, err)
	}
	return store.Apply(ctx, set)
}

// openEntry is the phase "entry": the HTTP entry on loopback.
func (b *bringUp) openEntry(ctx context.Context) (string, error) {
	s := b.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds.entry == nil {
		entry, err := cluster.Listen(ctx, b.record.HTTPPort, liveDialer{&s.dialer})
		if err != nil {
			return "", err
		}
		serving, stop := context.WithCancel(s.base)
		done := make(chan error, 1)
		go func() { done <- entry.Serve(serving) }()
		s.holds.entry, s.holds.entryDone, s.holds.entryStop = entry, done, stop
	}
	s.dialer.Store(b.client)
	return s.holds.entry.URL("api-gateway", "api-gateway"), nil
}

// store returns the config store, or nil when it isn't open.
func (s *session) store() *fixtures.Store {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holds.store
}

// gateway is the platform as scenarios see it.
func (s *session) gateway() (scenarios.Platform, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holds.entry == nil {
		return nil, errNotReady
	}
	return scenarios.Gateway{URL: fmt.Sprintf("http://127.0.0.1:%d", s.holds.entry.Port())}, nil
}

// scenarioFolder is where a workspace keeps its scenarios.
func scenarioFolder(workspace string) string { return filepath.Join(workspace, scenariosDir) }
