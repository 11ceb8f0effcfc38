// Package etcdtest has a config store in memory, for tests of services: [New], then use it as an etcd.Store.
package etcdtest

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
)

// Memory is an etcd.Store without a server. Leases never end by themselves: a test deletes the key instead.
type Memory struct {
	mu       sync.Mutex
	values   map[string][]byte
	watchers map[*watcher]bool
	failure  error
}

type watcher struct {
	prefix string
	queue  []etcd.Event
	wake   chan struct{} // holds one token when queue has something
}

var _ etcd.Store = (*Memory)(nil)

// New is an empty store.
func New() *Memory {
	return &Memory{values: map[string][]byte{}, watchers: map[*watcher]bool{}}
}

// Fail makes reads and writes fail with err, as a store does that is away; nil brings it back.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failure = err
}

// Get implements etcd.Store.
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key], m.failure
}

// List implements etcd.Store.
func (m *Memory) List(_ context.Context, prefix string) ([]etcd.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.list(prefix), m.failure
}

func (m *Memory) list(prefix string) []etcd.Entry {
	var entries []etcd.Entry
	for _, key := range slices.Sorted(maps.Keys(m.values)) {
		if strings.HasPrefix(key, prefix) {
			entries = append(entries, etcd.Entry{Key: key, Value: m.values[key]})
		}
	}
	return entries
}

// Put implements etcd.Store.
func (m *Memory) Put(_ context.Context, pairs ...etcd.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return m.failure
	}
	for _, p := range pairs {
		m.values[p.Key] = p.Value
		m.tell(etcd.Event{Entry: p})
	}
	return nil
}

// Swap implements etcd.Store.
func (m *Memory) Swap(_ context.Context, changes ...etcd.Change) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return false, m.failure
	}
	for _, change := range changes {
		if value, ok := m.values[change.Key]; ok != (change.Old != nil) || !bytes.Equal(value, change.Old) {
			return false, nil
		}
	}
	for _, change := range changes {
		event := etcd.Event{Entry: etcd.Entry{Key: change.Key, Value: change.New}, Deleted: change.New == nil}
		if event.Deleted {
			delete(m.values, change.Key)
		} else {
			m.values[change.Key] = change.New
		}
		m.tell(event)
	}
	return true, nil
}

// PutLeased implements etcd.Store.
func (m *Memory) PutLeased(ctx context.Context, pair etcd.Entry, _ time.Duration) error {
	return m.Put(ctx, pair)
}

// Delete implements etcd.Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failure != nil {
		return m.failure
	}
	if _, ok := m.values[key]; ok {
		delete(m.values, key)
		m.tell(etcd.Event{Entry: etcd.Entry{Key: key}, Deleted: true})
	}
	return nil
}

func (m *Memory) tell(event etcd.Event) {
	for w := range m.watchers {
		if strings.HasPrefix(event.Key, w.prefix) {
			w.push(event)
		}
	}
}

func (w *watcher) push(event etcd.Event) {
	w.queue = append(w.queue, event)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Watch implements etcd.Store.
func (m *Memory) Watch(ctx context.Context, prefix string) <-chan etcd.Event {
	w := &watcher{prefix: prefix, wake: make(chan struct{}, 1)}
	m.mu.Lock()
	for _, e := range m.list(prefix) {
		w.push(etcd.Event{Entry: e})
	}
	m.watchers[w] = true
	m.mu.Unlock()

	events := make(chan etcd.Event)
	go func() {
		defer close(events)
		defer m.forget(w)
		for {
			select {
			case <-w.wake:
			case <-ctx.Done():
				return
			}
			for _, event := range m.take(w) {
				select {
				case events <- event:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	return events
}

func (m *Memory) take(w *watcher) []etcd.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	queue := w.queue
	w.queue = nil
	return queue
}

func (m *Memory) forget(w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watchers, w)
}
