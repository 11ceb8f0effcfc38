package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/docker/docker/client"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
)

// engineClient is what this package asks of the Docker engine.
type engineClient = *client.Client

// newCluster returns the sandbox's cluster as it should be; whether it exists is its own to say. Phases use it through
// bringUp.describe: the one that loads images must wait for the creation that another has begun.
func (b *bringUp) newCluster() (*cluster.Cluster, error) {
	return b.session.cluster(b.network, b.node.Ref, b.node.KubernetesVersion, b.record.Workspace, b.record.Nodes)
}

// cluster returns the sandbox's cluster on a network; node image, version, workspace and number of nodes are needed only to
// create it.
func (s *session) cluster(network cluster.Network, nodeImage, kubernetes, workspace string, nodes int) (*cluster.Cluster, error) {
	c, err := cluster.New(s.docker, cluster.Config{
		Sandbox: s.state.Name, NodeImage: nodeImage, KubernetesVersion: kubernetes, Nodes: nodes,
		Network: network, StateDir: s.state.Dir, LaunchDir: s.state.launchFiles(), MountDir: s.state.mounts(),
		WorkspaceDir: workspace,
	})
	if err != nil {
		return nil, err
	}
	c.Keep(s.dialer.Load())
	return c, nil
}

// nodes returns the nodes of the sandbox's cluster, as those into which images are loaded. The session is connected to each
// once, whatever happens to the cluster.
func (s *session) nodes() images.Nodes {
	s.connected.Lock()
	defer s.connected.Unlock()
	nodes := images.Nodes{}
	for name, n := range cluster.StandingNodes(s.docker, s.state.Name, s.state.Dir) {
		if s.nodesByName == nil {
			s.nodesByName = images.Nodes{}
		}
		if s.nodesByName[name] == nil {
			s.nodesByName[name] = images.NewNode(n.DialContainerd)
		}
		nodes[name] = s.nodesByName[name]
	}
	return nodes
}

// disconnect ends the connections to all nodes.
func (s *session) disconnect() (err error) {
	s.connected.Lock()
	defer s.connected.Unlock()
	for _, n := range s.nodesByName {
		err = errors.Join(err, n.Close())
	}
	return err
}

// clusterRuns is the check of the phase "cluster".
func (b *bringUp) clusterRuns(ctx context.Context) (bool, error) {
	c, err := b.describe()
	if err != nil {
		return false, err
	}
	state, err := c.State(ctx)
	if err != nil || state != cluster.Running {
		return false, err
	}
	if b.client, err = c.Client(); err != nil {
		return false, err
	}
	if !b.started {
		outdated, err := c.Outdated(ctx)
		if err != nil {
			return false, err
		}
		if outdated != "" {
			b.feed.note(outdated)
		}
	}
	// It runs; an API server that doesn't answer yet is Start's to wait for. Once it has answered, a busy machine may take
	// its time.
	limit := time.Second
	if b.started {
		limit = time.Minute
	}
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if c.WaitAPI(short) != nil {
		return false, nil
	}
	// The engine may have restarted the nodes, as it does after a reboot.
	return b.started || c.ConnectPods(short) == nil, nil
}

// startCluster is the phase "cluster": it creates the cluster, or starts a stopped one.
func (b *bringUp) startCluster(ctx context.Context) (string, error) {
	c, err := b.describe()
	if err != nil {
		return "", err
	}
	state, err := c.State(ctx)
	if err != nil {
		return "", err
	}
	verb := "started"
	switch state {
	case cluster.Running, cluster.Stopped:
		err = c.Start(ctx)
	default:
		verb = "created"
		err = c.Create(ctx)
	}
	if err != nil {
		return "", err
	}
	b.started = true
	if b.client, err = c.Client(); err != nil {
		return "", err
	}
	names := slices.Sorted(maps.Keys(b.session.nodes()))
	return fmt.Sprintf("%s %s, Kubernetes %s", verb, strings.Join(names, ", "), c.KubernetesVersion()), nil
}

// liveDialer reaches the cluster that runs now: it may be created anew while the entry stays open.
type liveDialer struct {
	current *atomic.Pointer[cluster.Client]
}

func (d liveDialer) DialService(ctx context.Context, namespace, service string, port int) (net.Conn, error) {
	c := d.current.Load()
	if c == nil {
		return nil, errors.New("the cluster isn't up")
	}
	return c.DialService(ctx, namespace, service, port)
}
