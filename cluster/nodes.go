package cluster

import (
	"fmt"
	"path/filepath"

	"github.com/docker/docker/client"
	"sigs.k8s.io/kind/pkg/cluster/constants"
)

// MaxNodes is how many nodes a cluster can have. More than that is no development cluster on one machine.
const MaxNodes = 9

// NodeName returns the name of the sandbox's first node, its control plane, which is also its container's.
func NodeName(sandbox string) string {
	return Name(sandbox) + "-" + constants.ControlPlaneNodeRoleValue
}

// nodeNames returns the names that kind gives to n nodes: the control plane, then the workers.
func nodeNames(sandbox string, n int) []string {
	names := []string{NodeName(sandbox)}
	for i := 1; i < n; i++ {
		name := Name(sandbox) + "-" + constants.WorkerNodeRoleValue
		if i > 1 {
			name += fmt.Sprint(i)
		}
		names = append(names, name)
	}
	return names
}

func (c Config) nodeNames() []string { return nodeNames(c.Sandbox, c.Nodes) }

// netDir is the folder of this machine in which a worker keeps the Pod network's configuration.
func (c Config) netDir(node string) string { return filepath.Join(c.StateDir, "pod-network", node) }

// StandingNodes returns the nodes, by name, of the cluster that was last created (or begun) with that state folder: as
// many as it was made with, whatever is wanted now. They don't need to run. Where none was, that is one.
func StandingNodes(docker client.APIClient, sandbox, stateDir string) map[string]Node {
	nodes := map[string]Node{}
	for _, name := range nodeNames(sandbox, readRecord(stateDir).Nodes) {
		nodes[name] = NewNode(docker, name)
	}
	return nodes
}

// Nodes returns the [StandingNodes] of the cluster.
func (c *Cluster) Nodes() map[string]Node {
	return StandingNodes(c.docker, c.cfg.Sandbox, c.cfg.StateDir)
}
