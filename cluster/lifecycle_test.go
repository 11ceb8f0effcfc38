package cluster

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// testCluster returns a cluster with a state folder of its own.
func testCluster(t *testing.T, e *enginetest.Engine) *Cluster {
	t.Helper()
	cfg := testConfig()
	cfg.StateDir, cfg.Network.ID = t.TempDir(), "n1"
	c, err := New(e.Start(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func node(state string) container.InspectResponse {
	return enginetest.Container("dynsandbox-example-control-plane", state, map[string]string{NodeLabel: "dynsandbox-example"})
}

// finished writes what a creation that came through leaves.
func finished(t *testing.T, c *Cluster, change func(*record)) {
	t.Helper()
	r := record{Complete: true, NodeImage: c.cfg.NodeImage, Kubernetes: "v1.37.2", NetworkID: "n1", LaunchDir: c.cfg.LaunchDir}
	if change != nil {
		change(&r)
	}
	if err := c.writeRecord(r); err != nil {
		t.Fatal(err)
	}
	kubeconfig(t, c, "http://127.0.0.1:1")
}

func kubeconfig(t *testing.T, c *Cluster, server string) {
	t.Helper()
	text := "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x}}]\nclusters: [{name: x, cluster: {server: '" + server + "'}}]\n"
	if err := os.WriteFile(c.Kubeconfig(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What State calls Partial, Create deletes.
func TestState(t *testing.T) {
	t.Parallel()
	ready := func(t *testing.T, c *Cluster) { finished(t, c, nil) }
	with := func(change func(*record)) func(*testing.T, *Cluster) {
		return func(t *testing.T, c *Cluster) { finished(t, c, change) }
	}
	for name, tc := range map[string]struct {
		nodes []container.InspectResponse
		setUp func(*testing.T, *Cluster)
		want  State
	}{
		"nothing":                  {nil, nil, Absent},
		"a record without a node":  {nil, ready, Absent},
		"another cluster's node":   {[]container.InspectResponse{enginetest.Container("x", "running", map[string]string{NodeLabel: "dynsandbox-other"})}, ready, Absent},
		"running":                  {[]container.InspectResponse{node("running")}, ready, Running},
		"stopped":                  {[]container.InspectResponse{node("exited")}, ready, Stopped},
		"paused":                   {[]container.InspectResponse{node("paused")}, ready, Stopped},
		"no record":                {[]container.InspectResponse{node("running")}, nil, Partial},
		"not finished":             {[]container.InspectResponse{node("running")}, with(func(r *record) { r.Complete = false }), Partial},
		"on another network":       {[]container.InspectResponse{node("running")}, with(func(r *record) { r.NetworkID = "n0" }), Partial},
		"with other mounts":        {[]container.InspectResponse{node("running")}, with(func(r *record) { r.LaunchDir = "/other" }), Partial},
		"with another node image":  {[]container.InspectResponse{node("running")}, with(func(r *record) { r.NodeImage = "other" }), Running},
		"with its kubeconfig gone": {[]container.InspectResponse{node("running")}, func(t *testing.T, c *Cluster) { finished(t, c, nil); os.Remove(c.Kubeconfig()) }, Partial},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testCluster(t, &enginetest.Engine{Containers: tc.nodes})
			if tc.setUp != nil {
				tc.setUp(t, c)
			}
			if got, err := c.State(t.Context()); err != nil || got != tc.want {
				t.Errorf("got %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	other := enginetest.Container("other", "running", map[string]string{NodeLabel: "dynsandbox-other"})
	e := &enginetest.Engine{Containers: []container.InspectResponse{node("running"), other}}
	c := testCluster(t, e)
	finished(t, c, nil)
	// What a kind that was killed while it wrote the kubeconfig leaves, and what isn't the cluster's.
	for _, f := range []string{"kubeconfig.lock", "sandbox.json"} {
		if err := os.WriteFile(filepath.Join(c.cfg.StateDir, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // the second time there is nothing
		if err := c.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"remove dynsandbox-example-control-plane"}; !slices.Equal(e.Calls, want) {
		t.Errorf("the engine was asked to %q, want %q", e.Calls, want)
	}
	left, err := filepath.Glob(filepath.Join(c.cfg.StateDir, "*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "sandbox.json" {
		t.Errorf("the state folder holds %q, %v, want sandbox.json alone", left, err)
	}
}

func TestStartPaused(t *testing.T) {
	t.Parallel()
	e := &enginetest.Engine{Containers: []container.InspectResponse{node("paused")}}
	c := testCluster(t, e)
	finished(t, c, nil)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) }))
	defer api.Close()
	kubeconfig(t, c, api.URL)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"unpause dynsandbox-example-control-plane"}; !slices.Equal(e.Calls, want) {
		t.Errorf("the engine was asked to %q, want %q", e.Calls, want)
	}
}

// An API server that never gets ready doesn't keep anybody for ever, and what it said last is told.
func TestStartTimeout(t *testing.T) {
	t.Parallel()
	c := testCluster(t, &enginetest.Engine{Containers: []container.InspectResponse{node("running")}})
	finished(t, c, nil)
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "[-]etcd failed", http.StatusServiceUnavailable)
	}))
	defer api.Close()
	kubeconfig(t, c, api.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := c.Start(ctx)
	var timeout *fault.Timeout
	if !errors.As(err, &timeout) || timeout.LastSeen == "" {
		t.Errorf("got %v, want a *fault.Timeout that says what was seen", err)
	}
}

// Images must not go into a node that the next creation deletes.
func TestWaitContainerdPartial(t *testing.T) {
	t.Parallel()
	c := testCluster(t, &enginetest.Engine{Containers: []container.InspectResponse{node("running")}}) // any command in it panics
	finished(t, c, func(r *record) { r.NetworkID = "n0" })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := c.WaitContainerd(ctx); err == nil || !strings.Contains(err.Error(), "the cluster is partial") {
		t.Errorf("got %v, want that the cluster is partial", err)
	}
}

func TestNodeInTheWay(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]bool{
		`node(s) already exist for a cluster with the name "dynsandbox-a"`:                                          true,
		`docker: Error response from daemon: Conflict. The container name "/x" is already in use by container "y".`: true,
		`[ERROR Port-6443]: Port 6443 is already in use`:                                                            false,
		`kubeadm: /etc/kubernetes/manifests already exists`:                                                         false,
	} {
		if got := nodeInTheWay(said); got != want {
			t.Errorf("%s: got %v", said, got)
		}
	}
}

// Connections and what was learned of the cluster are kept until it is another.
func TestClientKept(t *testing.T) {
	t.Parallel()
	c := testCluster(t, new(enginetest.Engine))
	kubeconfig(t, c, "http://127.0.0.1:1")
	first, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	next := testCluster(t, new(enginetest.Engine))
	next.cfg.StateDir = c.cfg.StateDir
	next.Keep(first)
	if again, err := next.Client(); err != nil || again != first {
		t.Errorf("the same cluster: another client, %v", err)
	}
	kubeconfig(t, c, "http://127.0.0.1:2")
	if again, err := next.Client(); err != nil || again == first || !strings.HasSuffix(again.Config.Host, ":2") {
		t.Errorf("a cluster made anew: the old client, %v", err)
	}
}
