package cluster

import (
	"strings"
	"testing"
)

func testConfig() Config {
	return Config{Sandbox: "example", NodeImage: "kindest/node:v1.37.2", StateDir: "/state", LaunchDir: "/state/launch-files", MountDir: "/state/mounts",
		Network: Network{Name: "dynsandbox-example"}}
}

func TestKindConfig(t *testing.T) {
	t.Parallel()
	for file, tc := range map[string]struct {
		static bool
		quirks Quirks
		nodes  int
	}{
		"kind.yaml":            {static: true},
		"kind-restricted.yaml": {static: true, quirks: Quirks{CgroupV1: true, NoSysResource: true}},
		"kind-api.yaml":        {static: false, quirks: Quirks{OldKernel: true}},
		"kind-nodes.yaml":      {static: true, quirks: Quirks{CgroupV1: true}, nodes: 3},
	} {
		cfg := testConfig()
		cfg.Nodes = tc.nodes
		got, err := render(cfg.kindConfig(tc.static, tc.quirks))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, file, got)
	}
}

func TestPolicyRoute(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		version string
		static  bool
		err     string
	}{
		{version: "v1.37.2", static: true},
		{version: "v1.38.0", static: true},
		{version: "v1.36.4"},
		{version: "v1.35.9", err: "the lowest that works is v1.36 "},
		{version: "latest", err: "kubernetes version of node image"},
	} {
		static, err := testConfig().policyRoute(tc.version)
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: got error %v, want one with %q", tc.version, err, tc.err)
			}
			continue
		}
		if err != nil || static != tc.static {
			t.Errorf("%s: got %v, %v, want %v", tc.version, static, err, tc.static)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	if err := testConfig().validate(); err != nil {
		t.Errorf("a good one: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"no name":               func(c *Config) { c.Sandbox = "" },
		"name too long":         func(c *Config) { c.Sandbox = strings.Repeat("x", 40) },
		"relative state folder": func(c *Config) { c.StateDir = "state" },
		"relative launch files": func(c *Config) { c.LaunchDir = "launch" },
		"relative mounts":       func(c *Config) { c.MountDir = "mounts" },
	} {
		c := testConfig()
		change(&c)
		if err := c.validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestStepName(t *testing.T) {
	t.Parallel()
	if got := stepName(" Preparing nodes 📦 📦  ...\n"); got != "preparing nodes" {
		t.Errorf("got %q", got)
	}
}
