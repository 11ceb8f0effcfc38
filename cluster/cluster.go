package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
)

// Cluster is the kind cluster of one sandbox, whether it exists or not.
type Cluster struct {
	cfg    Config
	docker client.APIClient

	provisioning atomic.Bool // Create has deleted what was left, and the node that exists from now on is the new one
	taken        atomic.Bool // the node of this creation was said to take images: see WaitContainerd

	mu   sync.Mutex
	kept *Client // the last one that Client returned
}

// New returns the cluster that cfg describes. It changes nothing; see [Cluster.State] and [Cluster.Create].
func New(docker client.APIClient, cfg Config) (*Cluster, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Cluster{cfg: cfg, docker: docker}, nil
}

// State is what there is of a cluster.
type State string

// The states that a cluster can be found in.
const (
	Absent  State = "absent"
	Partial State = "partial" // its creation was broken off, a node of it is gone, or its network or mounts are others now: Create begins again
	Stopped State = "stopped" // or paused
	Running State = "running" // all nodes run; whether the API answers is another question: see [Cluster.WaitAPI]
)

// Kubeconfig is the path of the cluster's own kubeconfig, mode 0600. The user's is never touched.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.cfg.StateDir, "kubeconfig") }

// State looks at the engine and at the state folder. What the cluster was made with, beside its network and its mounts,
// is [Cluster.Outdated]'s question.
func (c *Cluster) State(ctx context.Context) (State, error) {
	nodes, err := c.containers(ctx)
	if err != nil {
		return "", err
	}
	if len(nodes) == 0 {
		return Absent, nil
	}
	r := c.readRecord()
	if _, err := os.Stat(c.Kubeconfig()); err != nil || !r.Complete || r.NetworkID != c.cfg.Network.ID || r.LaunchDir != c.cfg.LaunchDir {
		return Partial, nil
	}
	if len(nodes) < r.Nodes {
		return Partial, nil
	}
	for _, n := range nodes {
		if n.State != container.StateRunning {
			return Stopped, nil
		}
	}
	return Running, nil
}

// NodeLabel is kind's own label on its nodes' containers: its value is the cluster's name.
const NodeLabel = "io.x-k8s.kind.cluster"

func (c *Cluster) containers(ctx context.Context) ([]container.Summary, error) {
	list, err := c.docker.ContainerList(ctx, container.ListOptions{All: true,
		Filters: filters.NewArgs(filters.Arg("label", NodeLabel+"="+Name(c.cfg.Sandbox)))})
	if err != nil {
		return nil, fmt.Errorf("list node containers: %w", err)
	}
	return list, nil
}

// Node returns the cluster's control plane: of [Cluster.Nodes] the one that there always is. It doesn't need to run yet.
func (c *Cluster) Node() Node { return NewNode(c.docker, NodeName(c.cfg.Sandbox)) }
