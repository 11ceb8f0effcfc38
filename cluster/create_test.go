package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/system"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// A creation that hangs ends with what it waited for, and leaves nothing that looks like a cluster.
func TestCreateTimeout(t *testing.T) {
	dir := t.TempDir()
	// kind's first command hangs for longer than the creation may take.
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\nsleep 1\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("KIND_EXPERIMENTAL_DOCKER_NETWORK", "") // Create sets it
	e := &enginetest.Engine{Info: system.Info{CgroupVersion: "1"}, Containers: []container.InspectResponse{node("exited")}}
	c := testCluster(t, e)
	c.cfg.KubernetesVersion, c.cfg.LaunchDir = "v1.37.2", filepath.Join(c.cfg.StateDir, "launch-files")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := c.Create(ctx)
	var timeout *fault.Timeout
	if !errors.As(err, &timeout) || !strings.Contains(timeout.WaitedFor, "dynsandbox-example") {
		t.Errorf("got %v, want a *fault.Timeout that names the cluster", err)
	}
	if len(e.Containers) != 0 {
		t.Errorf("the node of an earlier creation is left: %v", e.Calls)
	}
	if state, err := c.State(t.Context()); err != nil || state != Absent {
		t.Errorf("the cluster is %s, %v", state, err)
	}
	if _, _, ok := RecordedNodeImage(c.cfg.StateDir); ok {
		t.Error("a cluster is on record")
	}
	if unit, err := os.ReadFile(filepath.Join(c.cfg.StateDir, kubeletUnitFile)); err != nil || !strings.Contains(string(unit), "\n[Service]\n") {
		t.Errorf("the kubelet's drop-in, which the node mounts for cgroup v1: %q, %v", unit, err)
	}
}
