package etcd

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// registerRetry is the pause between attempts to write a registration.
const registerRetry = 500 * time.Millisecond

// Register keeps pair in the store until ctx ends, and removes it then. The pair hangs on a lease of ttl (whole
// seconds), so it vanishes by itself when the process dies. A lease that was lost, because the store was away for
// longer than it lasts, is taken anew. It returns nil, once ctx has ended.
func (c *Client) Register(ctx context.Context, pair Entry, ttl time.Duration) error {
	for {
		err := c.hold(ctx, pair, ttl)
		if ctx.Err() != nil {
			return nil
		}
		slog.WarnContext(ctx, "registration was lost, registering again", "key", pair.Key, "error", err)
		select {
		case <-time.After(registerRetry):
		case <-ctx.Done():
			return nil
		}
	}
}

// hold writes pair under a new lease and keeps that alive. It returns when the lease is lost or ctx ends.
func (c *Client) hold(ctx context.Context, pair Entry, ttl time.Duration) error {
	lease, err := c.grant(ctx, pair, ttl)
	if err != nil {
		return err
	}
	defer c.revoke(lease)
	alive, err := c.etcd.KeepAlive(ctx, lease)
	if err != nil {
		return fmt.Errorf("keep the lease of %s: %w", pair.Key, err)
	}
	slog.InfoContext(ctx, "registered", "key", pair.Key)
	for range alive {
		// The client sends one answer per renewal, and closes the channel when the lease is lost.
	}
	return fmt.Errorf("the lease of %s ended", pair.Key)
}

func (c *Client) grant(ctx context.Context, pair Entry, ttl time.Duration) (clientv3.LeaseID, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	lease, err := c.etcd.Grant(ctx, int64(ttl.Seconds()))
	if err != nil {
		return 0, fmt.Errorf("take a lease for %s: %w", pair.Key, err)
	}
	if _, err := c.etcd.Put(ctx, pair.Key, string(pair.Value), clientv3.WithLease(lease.ID)); err != nil {
		return 0, fmt.Errorf("write %s: %w", pair.Key, err)
	}
	return lease.ID, nil
}

// revoke gives a lease back, so that its key is gone at once. It runs after the caller's context has ended, and
// doesn't wait long: without it the lease only lasts its few seconds more.
func (c *Client) revoke(lease clientv3.LeaseID) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if _, err := c.etcd.Revoke(ctx, lease); err != nil {
		slog.Debug("lease not revoked", "error", err)
	}
}
