package cluster

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/docker/docker/client"
	"sigs.k8s.io/kind/pkg/apis/config/v1alpha4"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// Quirks are peculiarities of a machine that a node needs to be told about. The node image stays neutral.
type Quirks struct {
	CgroupV1      bool // the kubelet refuses to start since 1.35, and runc's systemd driver fails now and then
	NoSysResource bool // nobody can lower an OOM score: containers of system Pods fail to start
	OldKernel     bool // older than 5.13, which kube-proxy's nftables mode takes
}

// DetectQuirks looks at the engine and at this machine. An engine whose networks' gateways aren't this machine is an
// error: Pods would look for the config store in vain.
func DetectQuirks(ctx context.Context, docker client.APIClient) (Quirks, error) {
	info, err := docker.Info(ctx)
	if err != nil {
		return Quirks{}, fmt.Errorf("ask the engine about its machine: %w", err)
	}
	if strings.Contains(info.OperatingSystem, "Docker Desktop") {
		return Quirks{}, errors.New("the engine is Docker Desktop's, which runs in a virtual machine: that isn't supported yet")
	}
	if slices.Contains(info.SecurityOptions, "name=rootless") {
		return Quirks{}, errors.New("the engine runs without root (rootless mode): that isn't supported yet")
	}
	return Quirks{CgroupV1: info.CgroupVersion == "1", NoSysResource: engine.LacksSysResource(), OldKernel: oldKernel(info.KernelVersion)}, nil
}

// oldKernel reads a release like "5.10.0-28-amd64". One that can't be read is taken for a new one.
func oldKernel(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major < 5 || major == 5 && minor < 13
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
	if q.OldKernel {
		lines = append(lines, "a kernel older than 5.13: Services are made with iptables instead of nftables")
	}
	return lines
}

// proxyMode is how kube-proxy makes Services: nftables, the fastest to change, where the kernel has all of it.
func (q Quirks) proxyMode() v1alpha4.ProxyMode {
	if q.OldKernel {
		return v1alpha4.IPTablesProxyMode
	}
	return v1alpha4.NFTablesProxyMode
}

//go:embed kubelet.conf
var kubeletUnit []byte

// The kubelet's drop-in, in the state folder and in the node (after kind's own, which is 11).
const (
	kubeletUnitFile = "kubelet.conf"
	nodeKubeletUnit = "/etc/systemd/system/kubelet.service.d/12-dynsandbox.conf"
)

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
