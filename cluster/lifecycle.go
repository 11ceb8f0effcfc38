package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Start starts the stopped (or paused) nodes of a cluster that was created, and waits until the API answers and Pods reach
// each other. On a running one it only checks that. After four minutes it gives up with a *fault.Timeout.
func (c *Cluster) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	nodes, err := c.containers(ctx)
	if err != nil {
		return err
	}
	if len(nodes) == 0 {
		return fmt.Errorf("start cluster %s: it doesn't exist", Name(c.cfg.Sandbox))
	}
	// The control plane first, and always in the same order: then their addresses are likely to be those of before.
	slices.SortFunc(nodes, func(a, b container.Summary) int { return strings.Compare(nodeName(a), nodeName(b)) })
	for _, n := range nodes {
		switch n.State {
		case container.StateRunning:
		case container.StatePaused:
			err = c.docker.ContainerUnpause(ctx, n.ID)
		default:
			err = c.docker.ContainerStart(ctx, n.ID, container.StartOptions{})
		}
		if err != nil {
			return fmt.Errorf("start node %s: %w", nodeName(n), err)
		}
	}
	if err := c.WaitAPI(ctx); err != nil {
		return err
	}
	return c.ConnectPods(ctx)
}

// Delete removes the cluster's nodes with their volumes, and what the state folder holds of it. It is no error
// if there is none.
func (c *Cluster) Delete(ctx context.Context) error {
	if err := c.removeNodes(ctx); err != nil {
		return err
	}
	// A kind that was killed while it wrote the kubeconfig leaves its lock, and waits for it ever after.
	for _, f := range []string{recordFile(c.cfg.StateDir), c.Kubeconfig(), c.Kubeconfig() + ".lock"} {
		if err := os.Remove(f); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("remove cluster's record: %w", err)
		}
	}
	return nil
}

func (c *Cluster) removeNodes(ctx context.Context) error {
	nodes, err := c.containers(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		err := c.docker.ContainerRemove(ctx, n.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // conflict: its removal is under way
			return fmt.Errorf("remove node %s: %w", nodeName(n), err)
		}
	}
	return nil
}

func nodeName(n container.Summary) string {
	if len(n.Names) > 0 && len(n.Names[0]) > 1 {
		return n.Names[0][1:]
	}
	return n.ID
}

// WaitContainerd waits until the containerd of every node takes images and won't be restarted any more. While
// [Cluster.Create] runs that is seconds before the API server answers.
func (c *Cluster) WaitContainerd(ctx context.Context) error {
	// kind patches containerd's configuration and restarts it, on all nodes, before kubeadm makes its first certificate
	// on the control plane: an import before that may be cut off.
	const ready = "test -e /etc/kubernetes/pki/ca.crt && exec ctr version"
	return poll(ctx, "the node's containerd", 150*time.Millisecond, func(ctx context.Context) error {
		creating := c.provisioning.Load()
		if !creating {
			state, err := c.State(ctx)
			if err != nil {
				return err
			}
			if state != Running { // a node of a broken-off creation may stand there
				return fmt.Errorf("the cluster is %s and isn't being created yet", state)
			}
		}
		if _, err := c.Node().Exec(ctx, nil, "sh", "-c", ready); err != nil {
			return err
		}
		for name, n := range c.Nodes() {
			if name == NodeName(c.cfg.Sandbox) {
				continue
			}
			if _, err := n.Exec(ctx, nil, "ctr", "version"); err != nil {
				return fmt.Errorf("node %s: %w", name, err)
			}
		}
		if creating {
			c.taken.Store(true)
		}
		return nil
	})
}

// WaitAPI waits until the API server says that it is ready.
func (c *Cluster) WaitAPI(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	return poll(ctx, "the API server", 150*time.Millisecond, func(ctx context.Context) error {
		_, err := client.Clientset.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	})
}

// poll calls check until it returns nil. What it waits for has nothing to subscribe to. When ctx's deadline passes
// the error is a *fault.Timeout with the last failure.
func poll(ctx context.Context, what string, every time.Duration, check func(context.Context) error) error {
	began := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last error
	for {
		// One that hangs (a network that swallows packets) must not be all that was ever tried.
		once, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := check(once)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			if context.Cause(ctx) == context.DeadlineExceeded {
				seen := ""
				if last != nil {
					seen = last.Error()
				}
				return &fault.Timeout{WaitedFor: what, LastSeen: seen, After: time.Since(began)}
			}
			return fmt.Errorf("wait for %s: %w", what, ctx.Err())
		case <-tick.C:
		}
	}
}
