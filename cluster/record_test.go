package cluster

import (
	"strings"
	"testing"

	"github.com/docker/docker/api/types/system"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

func TestRecordedNodeImage(t *testing.T) {
	t.Parallel()
	c := testCluster(t, new(enginetest.Engine))
	if image, _, ok := RecordedNodeImage(c.cfg.StateDir); ok {
		t.Errorf("no cluster: got %s", image)
	}
	finished(t, c, func(r *record) { r.Complete = false })
	if image, _, ok := RecordedNodeImage(c.cfg.StateDir); ok {
		t.Errorf("a cluster that wasn't finished: got %s", image)
	}
	finished(t, c, nil)
	if image, version, ok := RecordedNodeImage(c.cfg.StateDir); !ok || image != c.cfg.NodeImage || version != "v1.37.2" {
		t.Errorf("got %s, %s, %v", image, version, ok)
	}
}

func TestOutdated(t *testing.T) {
	t.Parallel()
	info := system.Info{CgroupVersion: "2", KernelVersion: "6.1.0"}
	for name, tc := range map[string]struct {
		change func(*record)
		host   system.Info // where the check is made
		want   string      // in the reason; empty: none
	}{
		"as it would be made now":       {nil, info, ""},
		"another node image":            {func(r *record) { r.NodeImage = "kindest/node:v1.36.0" }, info, "runs node image kindest/node:v1.36.0, and kindest/node:v1.37.2 is wanted"},
		"another number of nodes":       {func(r *record) { r.Nodes = 3 }, info, "made with --nodes 3, and --nodes 1 is wanted"},
		"a machine with other quirks":   {nil, system.Info{CgroupVersion: "1", KernelVersion: "6.1.0"}, "other settings"},
		"another kernel":                {nil, system.Info{CgroupVersion: "2", KernelVersion: "5.10.0-28-amd64"}, "other settings"},
		"by a version that doesn't say": {func(r *record) { r.Settings = "" }, system.Info{CgroupVersion: "1"}, ""},
		"not finished":                  {func(r *record) { r.Complete, r.NodeImage = false, "x" }, info, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testCluster(t, &enginetest.Engine{Info: tc.host})
			there, err := New((&enginetest.Engine{Info: info}).Start(t), c.cfg) // where it was made
			if err != nil {
				t.Fatal(err)
			}
			d, err := there.design(t.Context(), "v1.37.2")
			if err != nil {
				t.Fatal(err)
			}
			finished(t, c, func(r *record) {
				r.Settings = d.hash
				if tc.change != nil {
					tc.change(r)
				}
			})
			got, err := c.Outdated(t.Context())
			if err != nil || (got == "") != (tc.want == "") || !strings.Contains(got, tc.want) {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
		})
	}
}

func TestDetectQuirks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		info system.Info
		want Quirks
		err  string
	}{
		"none":           {info: system.Info{CgroupVersion: "2", KernelVersion: "5.13.0"}},
		"cgroup v1":      {info: system.Info{CgroupVersion: "1", KernelVersion: "6.18.44-x"}, want: Quirks{CgroupV1: true}},
		"old kernel":     {info: system.Info{KernelVersion: "5.10.0-28-amd64"}, want: Quirks{OldKernel: true}},
		"older kernel":   {info: system.Info{KernelVersion: "4.18.0-553.el8.x86_64"}, want: Quirks{OldKernel: true}},
		"no release":     {info: system.Info{KernelVersion: "unknown"}},
		"Docker Desktop": {info: system.Info{OperatingSystem: "Docker Desktop"}, err: "Docker Desktop"},
		"rootless":       {info: system.Info{SecurityOptions: []string{"name=seccomp,profile=builtin", "name=rootless"}}, err: "rootless"},
	} {
		got, err := DetectQuirks(t.Context(), (&enginetest.Engine{Info: tc.info}).Start(t))
		if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: error %v, want %q", name, err, tc.err)
		}
		got.NoSysResource = false // this machine's own
		if got != tc.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tc.want)
		}
		if lines := got.Lines(); (len(lines) > 0) != (got != Quirks{}) {
			t.Errorf("%s: said %q", name, lines)
		}
	}
}
