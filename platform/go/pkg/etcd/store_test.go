package etcd_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
)

func TestAwait(t *testing.T) {
	t.Parallel()
	key := etcd.ArchetypeKey("a")
	tests := []struct {
		name   string
		before func(etcd.Store) // what is there when the wait begins
		later  func(etcd.Store)
		weight int
		err    error
	}{
		{
			name:   "there already",
			before: func(s etcd.Store) { _ = etcd.Put(t.Context(), s, key, etcd.Archetype{Weight: 1}) },
			weight: 1,
		},
		{
			name:   "written later",
			later:  func(s etcd.Store) { _ = etcd.Put(t.Context(), s, key, etcd.Archetype{Weight: 2}) },
			weight: 2,
		},
		{
			name:   "another key with the same beginning",
			before: func(s etcd.Store) { _ = etcd.Put(t.Context(), s, key+"bc", etcd.Archetype{Weight: 3}) },
			err:    context.DeadlineExceeded,
		},
		{name: "never", err: context.DeadlineExceeded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				store := etcdtest.New()
				if tt.before != nil {
					tt.before(store)
				}
				if tt.later != nil {
					go func() {
						synctest.Wait()
						tt.later(store)
					}()
				}
				got, err := etcd.Await[etcd.Archetype](ctx, store, key)
				if got.Weight != tt.weight || !errors.Is(err, tt.err) {
					t.Errorf("Await = %+v, %v, want weight %d, %v", got, err, tt.weight, tt.err)
				}
				synctest.Wait()
			})
		})
	}
}

func TestListRefusesWhatItCannotDecode(t *testing.T) {
	t.Parallel()
	store := etcdtest.New()
	_ = store.Put(t.Context(), etcd.Entry{Key: "/archetypes/a", Value: []byte(`{"weight":1}`)}, etcd.Entry{Key: "/archetypes/b", Value: []byte(`{"weight":"heavy"}`)})
	if got, err := etcd.List[etcd.Archetype](t.Context(), store, etcd.ArchetypePrefix); err == nil {
		t.Errorf("List = %+v, want an error", got)
	}
}
