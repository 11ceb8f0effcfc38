package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// Purge is the last test: it takes everything away, and nothing else.
func TestPurge(t *testing.T) {
	run := func(args ...string) string {
		out, err := exec.Command("docker", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	// Someone else's network, and a container that looks like a node of someone else's kind cluster.
	image := run("inspect", "--format={{.Image}}", "dynsandbox-"+sandboxName+"-control-plane")
	run("network", "create", "someone-elses")
	run("create", "--name", "someone-elses-control-plane", "--network", "someone-elses", "--label", "io.x-k8s.kind.cluster=someone-elses", image)
	t.Cleanup(func() {
		run("rm", "-v", "someone-elses-control-plane")
		run("network", "rm", "someone-elses")
	})
	must(t, "down", "--purge")
	for _, args := range [][]string{
		{"ps", "-aq", "--filter", "label=dev.dynsandbox.sandbox=" + sandboxName},
		{"ps", "-aq", "--filter", "label=io.x-k8s.kind.cluster=dynsandbox-" + sandboxName},
		{"network", "ls", "-q", "--filter", "label=dev.dynsandbox.sandbox=" + sandboxName},
		{"volume", "ls", "-q", "--filter", "label=dev.dynsandbox.sandbox=" + sandboxName},
		{"images", "-aq", "--filter", "label=dev.dynsandbox.sandbox=" + sandboxName},
	} {
		if left := run(args...); left != "" {
			t.Errorf("docker %s: %s", strings.Join(args, " "), left)
		}
	}
	if pid := sessionPID(t); pid != 0 {
		t.Errorf("a session process is left: %d", pid)
	}
	if _, err := dynsandbox(t.Context(), "status"); exitCode(err) != 3 {
		t.Errorf("status of a purged sandbox ends with %v, want code 3", err)
	}
	if run("ps", "-aq", "--filter", "name=someone-elses-control-plane") == "" || run("network", "ls", "-q", "--filter", "name=someone-elses") == "" {
		t.Error("purge took what isn't ours")
	}
}
