package etcd

import (
	"context"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watchRetry is the pause before a watch that failed begins again.
const watchRetry = 500 * time.Millisecond

// Watch implements [Store]. A watch that fails (the store's history was compacted, or a store with other data came
// back) begins again with what is there by then; keys that vanished meanwhile are reported as deleted.
func (c *Client) Watch(ctx context.Context, prefix string) <-chan Event {
	events := make(chan Event)
	go func() {
		defer close(events)
		known := map[string]bool{}
		for ctx.Err() == nil {
			if err := c.watchOnce(ctx, prefix, known, events); err != nil && ctx.Err() == nil {
				slog.WarnContext(ctx, "watch of the config store failed, beginning again", "prefix", prefix, "error", err)
				select {
				case <-time.After(watchRetry):
				case <-ctx.Done():
				}
			}
		}
	}()
	return events
}

func (c *Client) watchOnce(ctx context.Context, prefix string, known map[string]bool, events chan<- Event) error {
	entries, revision, err := c.list(ctx, prefix)
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for key := range known {
		gone[key] = true
	}
	for _, e := range entries {
		delete(gone, e.Key)
		if !send(ctx, events, known, Event{Entry: e}) {
			return ctx.Err()
		}
	}
	for key := range gone {
		if !send(ctx, events, known, Event{Entry: Entry{Key: key}, Deleted: true}) {
			return ctx.Err()
		}
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes := c.etcd.Watch(clientv3.WithRequireLeader(ctx), prefix, clientv3.WithPrefix(), clientv3.WithRev(revision+1))
	for response := range changes {
		if err := response.Err(); err != nil {
			return err
		}
		for _, change := range response.Events {
			event := Event{Entry: Entry{Key: string(change.Kv.Key)}, Deleted: change.Type == clientv3.EventTypeDelete}
			if !event.Deleted {
				event.Value = change.Kv.Value
			}
			if !send(ctx, events, known, event) {
				return ctx.Err()
			}
		}
	}
	return ctx.Err()
}

// send delivers event and remembers the key; it is false when ctx ended first.
func send(ctx context.Context, events chan<- Event, known map[string]bool, event Event) bool {
	select {
	case events <- event:
	case <-ctx.Done():
		return false
	}
	if event.Deleted {
		delete(known, event.Key)
	} else {
		known[event.Key] = true
	}
	return true
}
