package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	kind "sigs.k8s.io/kind/pkg/cluster"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// createWait is how long a creation may take, and startWait a start: a minute and half a minute on two idle cores.
const (
	createWait = 8 * time.Minute
	startWait  = 4 * time.Minute
)

// Create makes the cluster and returns when its nodes are Ready, Pods can be made and the admission policies are
// in force; CoreDNS may still be starting (see [Client.WaitDNS]). What is left of an earlier creation is deleted first.
//
// When ctx ends, or something fails, what was created is deleted before Create returns. After eight minutes it gives up
// with a *fault.Timeout.
func (c *Cluster) Create(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, createWait)
	defer cancel()
	kubernetes := c.cfg.KubernetesVersion
	if kubernetes == "" {
		if kubernetes, err = NodeImageVersion(ctx, c.docker, c.cfg.NodeImage); err != nil {
			return err
		}
	}
	d, err := c.design(ctx, kubernetes)
	if err != nil {
		return err
	}
	if err := c.Delete(ctx); err != nil {
		return fmt.Errorf("delete what is left of an earlier cluster: %w", err)
	}
	made := record{NodeImage: c.cfg.NodeImage, Kubernetes: kubernetes, NetworkID: c.cfg.Network.ID, LaunchDir: c.cfg.LaunchDir, Nodes: len(c.cfg.nodeNames()), Settings: d.hash}
	if err := c.writeFiles(made, d); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			err = errors.Join(err, c.Delete(cleanup))
		}
	}()
	c.taken.Store(false)
	c.provisioning.Store(true)
	defer c.provisioning.Store(false)
	if err := c.kindCreate(ctx, d.kind); err != nil {
		return err
	}
	client, err := c.Client()
	if err != nil {
		return err
	}
	if !d.static {
		if err := client.createPolicies(ctx); err != nil {
			return err
		}
	}
	if err := c.ConnectPods(ctx); err != nil {
		return err
	}
	if err := client.waitBase(ctx, c.cfg.nodeNames()); err != nil {
		return err
	}
	if err := client.probePolicies(ctx); err != nil {
		return err
	}
	made.Complete = true
	return c.writeRecord(made)
}

// writeFiles writes the record of a creation that begins, and what kind and the node read.
func (c *Cluster) writeFiles(made record, d design) error {
	if err := os.MkdirAll(c.cfg.StateDir, 0o700); err != nil {
		return fmt.Errorf("create state folder: %w", err)
	}
	if c.cfg.LaunchDir != "" {
		if err := os.MkdirAll(c.cfg.LaunchDir, 0o755); err != nil {
			return fmt.Errorf("create folder of launch files: %w", err)
		}
	}
	if c.cfg.MountDir != "" {
		if err := os.MkdirAll(c.cfg.MountDir, 0o755); err != nil {
			return fmt.Errorf("create folder of mounts: %w", err)
		}
	}
	for _, name := range c.cfg.nodeNames()[1:] {
		// What an earlier cluster left there is of other ranges.
		if err := os.RemoveAll(c.cfg.netDir(name)); err != nil {
			return fmt.Errorf("empty the folder of a node's pod network: %w", err)
		}
		if err := os.MkdirAll(c.cfg.netDir(name), 0o755); err != nil {
			return fmt.Errorf("create the folder of a node's pod network: %w", err)
		}
	}
	if err := c.writeRecord(made); err != nil {
		return err
	}
	if d.static {
		if err := writeAdmission(filepath.Join(c.cfg.StateDir, "admission"), nodeAdmissionDir); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(c.cfg.StateDir, kubeletUnitFile), kubeletUnit, 0o644); err != nil {
		return fmt.Errorf("write the kubelet's drop-in: %w", err)
	}
	if err := os.WriteFile(filepath.Join(c.cfg.StateDir, "kind.yaml"), d.kind, 0o600); err != nil {
		return fmt.Errorf("write kind configuration: %w", err)
	}
	return nil
}

// kindCreate runs kind's creation, which knows no context: when ctx ends, its nodes are removed under it, which
// makes it give up soon.
func (c *Cluster) kindCreate(ctx context.Context, raw []byte) error {
	if err := os.Setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", c.cfg.Network.Name); err != nil {
		return err
	}
	began, log := time.Now(), newKindLogger(ctx)
	provider := kind.NewProvider(kind.ProviderWithDocker(), kind.ProviderWithLogger(log))
	for try := 1; ; try++ {
		done := make(chan error, 1)
		go func() {
			done <- provider.Create(Name(c.cfg.Sandbox),
				kind.CreateWithRawConfig(raw),
				kind.CreateWithKubeconfigPath(c.Kubeconfig()),
				kind.CreateWithRetain(true), // its clean-up would race with ours
				kind.CreateWithDisplayUsage(false), kind.CreateWithDisplaySalutation(false))
		}()
		var err error
		select {
		case err = <-done:
		case <-ctx.Done():
			c.abandon(done)
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &fault.Timeout{WaitedFor: "kind to create cluster " + Name(c.cfg.Sandbox), LastSeen: log.last(), After: time.Since(began)}
			}
			return fmt.Errorf("create cluster %s: %w", Name(c.cfg.Sandbox), ctx.Err())
		}
		if err == nil {
			return os.Chmod(c.Kubeconfig(), 0o600)
		}
		// Images may be in a node that has its CA: whoever loaded them relies on it.
		if try == 2 || c.taken.Load() || !nodeInTheWay(err.Error()+kindOutput(err)) {
			return c.kindFault(err)
		}
		slog.Info("a node container appeared while creating; beginning again", "cluster", Name(c.cfg.Sandbox))
		if err := c.removeNodes(ctx); err != nil {
			return err
		}
	}
}

// abandon removes the nodes again and again until kind has noticed, for at most a minute.
func (c *Cluster) abandon(done <-chan error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := c.Delete(ctx); err != nil {
			slog.Warn("delete an unfinished cluster", "cluster", Name(c.cfg.Sandbox), "err", err)
		}
		select {
		case <-done:
			if err := c.Delete(ctx); err != nil {
				slog.Warn("delete an unfinished cluster", "cluster", Name(c.cfg.Sandbox), "err", err)
			}
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
