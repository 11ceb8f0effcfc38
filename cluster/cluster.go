package cluster

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	Partial State = "partial" // its creation was broken off, or its network or mounts are others now: Create begins again
	Stopped State = "stopped"
	Running State = "running" // the node runs; whether the API answers is another question: see [Cluster.WaitAPI]
)

// record is what Create leaves in the state folder; only a finished one counts.
type record struct {
	Complete   bool   `json:"complete"`
	NodeImage  string `json:"nodeImage"`
	Kubernetes string `json:"kubernetes"`
	NetworkID  string `json:"networkID"`
	LaunchDir  string `json:"launchDir"`
}

func (c *Cluster) recordFile() string { return filepath.Join(c.cfg.StateDir, "cluster.json") }

// Kubeconfig is the path of the cluster's own kubeconfig, mode 0600. The user's is never touched.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.cfg.StateDir, "kubeconfig") }

func (c *Cluster) writeRecord(r record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	// Written aside and renamed: a kill in between leaves the old one.
	tmp := c.recordFile() + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write cluster record: %w", err)
	}
	if err := os.Rename(tmp, c.recordFile()); err != nil {
		return fmt.Errorf("write cluster record: %w", err)
	}
	return nil
}

func (c *Cluster) readRecord() record {
	var r record
	if b, err := os.ReadFile(c.recordFile()); err != nil || json.Unmarshal(b, &r) != nil {
		return record{} // no record, no finished cluster
	}
	return r
}

// State looks at the engine and at the state folder.
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
	for _, n := range nodes {
		if n.State != container.StateRunning {
			return Stopped, nil
		}
	}
	return Running, nil
}

// KubernetesVersion returns the version of the cluster that was created, as "v1.37.2"; empty when none was.
func (c *Cluster) KubernetesVersion() string { return c.readRecord().Kubernetes }

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

// Node returns the cluster's node. It doesn't need to run yet.
func (c *Cluster) Node() Node { return NewNode(c.docker, NodeName(c.cfg.Sandbox)) }

// NodeImageVersion reads which Kubernetes a node image has. The image must be in the engine.
func NodeImageVersion(ctx context.Context, docker client.APIClient, image string) (string, error) {
	// A container that is never started: kind's images say it in a file, not in a label.
	made, err := docker.ContainerCreate(ctx, &container.Config{Image: image, Cmd: []string{"true"}}, nil, nil, nil, "")
	if err != nil {
		return "", fmt.Errorf("look into node image %s: %w", image, err)
	}
	defer docker.ContainerRemove(context.WithoutCancel(ctx), made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
	r, _, err := docker.CopyFromContainer(ctx, made.ID, "/kind/version")
	if err != nil {
		return "", fmt.Errorf("read Kubernetes version of node image %s: %w", image, err)
	}
	defer r.Close()
	t := tar.NewReader(r)
	if _, err := t.Next(); err != nil {
		return "", fmt.Errorf("read Kubernetes version of node image %s: %w", image, err)
	}
	b, err := io.ReadAll(io.LimitReader(t, 64))
	if err != nil {
		return "", fmt.Errorf("read Kubernetes version of node image %s: %w", image, err)
	}
	v := trimVersion(b)
	if v == "" {
		return "", errors.New("node image " + image + " doesn't say its Kubernetes version")
	}
	return v, nil
}
