// Package etcd is the platform's config store: JSON records under fixed keys.
//
// [Connect] first. [Get], [List] and [Put] then read and write records ([Agreement], [Archetype], ...) under the
// keys that [AgreementKey] and its like spell; [Await] waits for a record that is about to be written, and
// [Client.Register] keeps a key in the store for as long as the process lives. Services take a [Store], so that
// their tests can run on package etcdtest instead of a server.
package etcd

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Store is what the services ask of the config store.
type Store interface {
	// Get returns the value under key, or nil if there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// List returns everything under prefix, in the order of the keys.
	List(ctx context.Context, prefix string) ([]Entry, error)
	// Put writes the pairs, all at once as far as the server allows (see [Client.Put]).
	Put(ctx context.Context, pairs ...Entry) error
	// Swap makes the changes, up to 128 of them at once, if every key still has its old value. Otherwise it is false, and
	// nothing has changed.
	Swap(ctx context.Context, changes ...Change) (bool, error)
	// PutLeased writes a pair that vanishes after ttl unless it is written again.
	PutLeased(ctx context.Context, pair Entry, ttl time.Duration) error
	// Delete removes a key; one that does not exist is no error.
	Delete(ctx context.Context, key string) error
	// Watch sends what is under prefix, and then every change of it, without a gap. The channel is closed when
	// ctx ends, and only then.
	Watch(ctx context.Context, prefix string) <-chan Event
}

// Entry is a key and its value.
type Entry struct {
	Key   string
	Value []byte
}

// Change is a key's value before and after. Nil stands for no such key.
type Change struct {
	Key      string
	Old, New []byte
}

// Event is a key that was written, or one that is gone.
type Event struct {
	Entry
	Deleted bool // by a delete or because its lease ended; Value is nil
}

// Get reads the record under key into a T. It is false when there is none.
func Get[T any](ctx context.Context, s Store, key string) (record T, found bool, err error) {
	value, err := s.Get(ctx, key)
	if err != nil || value == nil {
		return record, false, err
	}
	if err := json.Unmarshal(value, &record); err != nil {
		return record, false, fmt.Errorf("decode %s: %w", key, err)
	}
	return record, true, nil
}

// List reads all records under prefix, in the order of their keys. A record that can't be decoded is an error:
// leaving it out would silently change what is decided from the rest.
func List[T any](ctx context.Context, s Store, prefix string) ([]T, error) {
	entries, err := s.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	records := make([]T, len(entries))
	for i, e := range entries {
		if err := json.Unmarshal(e.Value, &records[i]); err != nil {
			return nil, fmt.Errorf("decode %s: %w", e.Key, err)
		}
	}
	return records, nil
}

// Put writes record as JSON under key.
func Put(ctx context.Context, s Store, key string, record any) error {
	value, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	return s.Put(ctx, Entry{key, value})
}

// Update changes the record under key, as it is then whoever else writes it. It is false when there is none.
func Update[T any](ctx context.Context, s Store, key string, change func(T)) (found bool, err error) {
	for {
		old, err := s.Get(ctx, key)
		if err != nil || old == nil {
			return false, err
		}
		var record T
		if err := json.Unmarshal(old, &record); err != nil {
			return false, fmt.Errorf("decode %s: %w", key, err)
		}
		change(record)
		value, err := json.Marshal(record)
		if err != nil {
			return false, fmt.Errorf("encode %s: %w", key, err)
		}
		if done, err := s.Swap(ctx, Change{key, old, value}); done || err != nil {
			return done, err
		}
	}
}

// Await returns the record under key, as soon as there is one. The error is ctx's when none appears in time.
func Await[T any](ctx context.Context, s Store, key string) (record T, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for event := range s.Watch(ctx, key) {
		if event.Key != key || event.Deleted {
			continue // a longer key with the same beginning, or the end of an old record
		}
		if err := json.Unmarshal(event.Value, &record); err != nil {
			return record, fmt.Errorf("decode %s: %w", key, err)
		}
		return record, nil
	}
	return record, fmt.Errorf("wait for %s: %w", key, ctx.Err())
}
