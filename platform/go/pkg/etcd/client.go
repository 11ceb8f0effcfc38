package etcd

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

// Endpoints are the addresses of the config store. They are compiled in: everything that runs the platform has to
// provide these names. One that resolves is enough.
var Endpoints = []string{
	"http://etcd-0.etcd-headless.core.svc.cluster.local:2379",
	"http://etcd-1.etcd-headless.core.svc.cluster.local:2379",
	"http://etcd-2.etcd-headless.core.svc.cluster.local:2379",
}

const (
	// operationTimeout bounds one read or write. The client waits that long for a store that is away.
	operationTimeout = 5 * time.Second
	// maxTxnOps is what an etcd server takes in one transaction by default.
	maxTxnOps = 128
)

// reconnect is how soon the client tries again to reach a store that was away. gRPC's own pauses grow to two
// minutes, for which services would be blind after the store is back.
var reconnect = grpc.ConnectParams{
	Backoff: backoff.Config{
		BaseDelay:  100 * time.Millisecond,
		Multiplier: 1.6,
		Jitter:     0.2,
		MaxDelay:   time.Second,
	},
	MinConnectTimeout: 2 * time.Second,
}

// Client is a [Store] on an etcd server.
type Client struct {
	etcd *clientv3.Client
}

var _ Store = (*Client)(nil)

// Connect makes a client for endpoints. It doesn't wait for a server: operations do, for up to five seconds each. Only
// [Client.Close] ends it: what is under way when ctx ends may still need it.
func Connect(ctx context.Context, endpoints []string) (*Client, error) {
	c, err := clientv3.New(clientv3.Config{
		Context:     context.WithoutCancel(ctx),
		Endpoints:   endpoints,
		DialTimeout: operationTimeout,
		// A store that went away without closing its connections is noticed by pings.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 10 * time.Second,
		DialOptions:          []grpc.DialOption{grpc.WithConnectParams(reconnect)},
		// What it would log reaches callers as errors.
		Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("make config store client: %w", err)
	}
	return &Client{etcd: c}, nil
}

// Close ends the connection and all watches.
func (c *Client) Close() error { return c.etcd.Close() }

// Get implements [Store].
func (c *Client) Get(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	response, err := c.etcd.Get(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	if len(response.Kvs) == 0 {
		return nil, nil
	}
	return response.Kvs[0].Value, nil
}

// List implements [Store].
func (c *Client) List(ctx context.Context, prefix string) ([]Entry, error) {
	entries, _, err := c.list(ctx, prefix)
	return entries, err
}

// list also returns the revision that it saw, from which a watch can go on.
func (c *Client) list(ctx context.Context, prefix string) ([]Entry, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	response, err := c.etcd.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByKey, clientv3.SortAscend))
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", prefix, err)
	}
	entries := make([]Entry, len(response.Kvs))
	for i, kv := range response.Kvs {
		entries[i] = Entry{string(kv.Key), kv.Value}
	}
	return entries, response.Header.Revision, nil
}

// Put implements [Store]. Up to 128 pairs are one transaction; more are several, in the order given.
func (c *Client) Put(ctx context.Context, pairs ...Entry) error {
	for len(pairs) > 0 {
		batch := pairs[:min(len(pairs), maxTxnOps)]
		pairs = pairs[len(batch):]
		ops := make([]clientv3.Op, len(batch))
		for i, p := range batch {
			ops[i] = clientv3.OpPut(p.Key, string(p.Value))
		}
		if err := c.commit(ctx, ops); err != nil {
			return fmt.Errorf("write %s: %w", describe(batch), err)
		}
	}
	return nil
}

func (c *Client) commit(ctx context.Context, ops []clientv3.Op) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	_, err := c.etcd.Txn(ctx).Then(ops...).Commit()
	return err
}

// Swap implements [Store].
func (c *Client) Swap(ctx context.Context, changes ...Change) (bool, error) {
	conditions, ops := make([]clientv3.Cmp, len(changes)), make([]clientv3.Op, len(changes))
	for i, change := range changes {
		conditions[i] = clientv3.Compare(clientv3.Value(change.Key), "=", string(change.Old)) // false without the key
		if change.Old == nil {
			conditions[i] = clientv3.Compare(clientv3.CreateRevision(change.Key), "=", 0)
		}
		ops[i] = clientv3.OpPut(change.Key, string(change.New))
		if change.New == nil {
			ops[i] = clientv3.OpDelete(change.Key)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	response, err := c.etcd.Txn(ctx).If(conditions...).Then(ops...).Commit()
	if err != nil {
		return false, fmt.Errorf("change %s: %w", changes[0].Key, err)
	}
	return response.Succeeded, nil
}

func describe(batch []Entry) string {
	if len(batch) == 1 {
		return batch[0].Key
	}
	return fmt.Sprintf("%s and %d more", batch[0].Key, len(batch)-1)
}

// PutLeased implements [Store]. Each call takes a lease of its own; the pair's former lease runs out without effect.
func (c *Client) PutLeased(ctx context.Context, pair Entry, ttl time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	lease, err := c.etcd.Grant(ctx, int64(ttl.Seconds()))
	if err != nil {
		return fmt.Errorf("take a lease for %s: %w", pair.Key, err)
	}
	if _, err := c.etcd.Put(ctx, pair.Key, string(pair.Value), clientv3.WithLease(lease.ID)); err != nil {
		return fmt.Errorf("write %s: %w", pair.Key, err)
	}
	return nil
}

// Delete implements [Store].
func (c *Client) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	if _, err := c.etcd.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}
