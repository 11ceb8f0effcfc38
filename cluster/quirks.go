package cluster

import (
	"context"
	"fmt"

	"github.com/docker/docker/client"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// Quirks are peculiarities of a machine that a node needs to be told about. The node image stays neutral.
type Quirks struct {
	CgroupV1      bool // the kubelet refuses to start since 1.35, and runc's systemd driver fails now and then
	NoSysResource bool // nobody can lower an OOM score: containers of system Pods fail to start
}

// DetectQuirks looks at the engine and at this machine.
func DetectQuirks(ctx context.Context, docker client.APIClient) (Quirks, error) {
	info, err := docker.Info(ctx)
	if err != nil {
		return Quirks{}, fmt.Errorf("ask the engine about its machine: %w", err)
	}
	return Quirks{CgroupV1: info.CgroupVersion == "1", NoSysResource: engine.LacksSysResource()}, nil
}

// Lines says, one line each and for people, what was found and what is done about it. It is empty on most machines.
func (q Quirks) Lines() []string {
	var lines []string
	if q.CgroupV1 {
		lines = append(lines, "cgroup v1: the node's kubelet is told to accept it, and its runtime doesn't use systemd's cgroup driver")
	}
	if q.NoSysResource {
		lines = append(lines, "no CAP_SYS_RESOURCE: the node's containers get the nearest OOM score that can be had")
	}
	return lines
}

// kubeletPatch returns what the quirks add to a KubeletConfiguration.
func (q Quirks) kubeletPatch() string {
	if !q.CgroupV1 {
		return ""
	}
	return "failCgroupV1: false\ncgroupDriver: cgroupfs\n"
}

// containerdPatches returns patches to the node's containerd configuration. kind skips those whose version isn't
// the file's: version 2 is what its images have had so far, version 3 has other table names.
func (q Quirks) containerdPatches() []string {
	if !q.CgroupV1 && !q.NoSysResource {
		return nil
	}
	var patches []string
	for _, v := range []struct {
		version int
		plugin  string
	}{{2, "io.containerd.grpc.v1.cri"}, {3, "io.containerd.cri.v1.runtime"}} {
		p := fmt.Sprintf("version = %d\n", v.version)
		if q.NoSysResource {
			p += fmt.Sprintf("[plugins.%q]\n  restrict_oom_score_adj = true\n", v.plugin)
		}
		if q.CgroupV1 {
			for _, runtime := range []string{"runc", "test-handler"} {
				p += fmt.Sprintf("[plugins.%q.containerd.runtimes.%s.options]\n  SystemdCgroup = false\n", v.plugin, runtime)
			}
		}
		patches = append(patches, p)
	}
	return patches
}
