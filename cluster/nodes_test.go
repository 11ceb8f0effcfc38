package cluster

import (
	"slices"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

func workerNode(name, state string) container.InspectResponse {
	return enginetest.Container("dynsandbox-example-"+name, state, map[string]string{NodeLabel: "dynsandbox-example"})
}

// kind chooses the names; images go into the nodes that are called so.
func TestNodesAreThoseThatTheClusterWasMadeWith(t *testing.T) {
	t.Parallel()
	c := testCluster(t, new(enginetest.Engine))
	c.cfg.Nodes = 2
	for made, want := range map[int][]string{
		0: {"dynsandbox-example-control-plane"}, // by an earlier version
		1: {"dynsandbox-example-control-plane"},
		4: {"dynsandbox-example-control-plane", "dynsandbox-example-worker", "dynsandbox-example-worker2", "dynsandbox-example-worker3"},
	} {
		finished(t, c, func(r *record) { r.Nodes = made })
		var got []string
		for name := range c.Nodes() {
			got = append(got, name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("made with %d: %s", made, diff)
		}
	}
}

func TestStateOfSeveralNodes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		nodes []container.InspectResponse
		want  State
	}{
		"all run":        {[]container.InspectResponse{node("running"), workerNode("worker", "running")}, Running},
		"one is stopped": {[]container.InspectResponse{node("running"), workerNode("worker", "exited")}, Stopped},
		"one is gone":    {[]container.InspectResponse{node("running")}, Partial},
	} {
		c := testCluster(t, &enginetest.Engine{Containers: tc.nodes})
		finished(t, c, func(r *record) { r.Nodes = 2 })
		if got, err := c.State(t.Context()); err != nil || got != tc.want {
			t.Errorf("%s: got %s, %v, want %s", name, got, err, tc.want)
		}
	}
}

func TestNumberOfNodes(t *testing.T) {
	t.Parallel()
	for n, fine := range map[int]bool{-1: false, 0: true, 1: true, MaxNodes: true, MaxNodes + 1: false} {
		cfg := testConfig()
		cfg.Nodes = n
		if err := cfg.validate(); (err == nil) != fine {
			t.Errorf("%d nodes: %v", n, err)
		}
	}
}
