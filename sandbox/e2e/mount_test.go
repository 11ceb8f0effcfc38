package e2e

import (
	"context"
	"strings"
	"testing"
)

// What is mounted into the containers of a Pod, a Pod a line.
const volumeNames = `jsonpath={range .items[*]}{.metadata.name}: {.spec.volumes[*].name}{"\n"}{end}`

// With the mount on a saved file is live without its image, in Pods that agents make too; with it off again the image has
// the same content.
func TestMountedServices(t *testing.T) {
	up := func(flag string) {
		t.Helper()
		var again upSummary
		if err := upInto(t.Context(), &again, flag, "--no-scenario"); err != nil {
			t.Fatal(err)
		}
	}
	up("--mount")
	t.Cleanup(func() { dynsandboxAfter(t, "up", "--mount=false", "--workspace", workspace) })
	for line := range strings.Lines(kubectl(t, "", "get", "pods", "-n", "uva", "-l", "app=uva", "-o", volumeNames)) {
		if !strings.Contains(line, "mount-agent") || !strings.Contains(line, "mount-sidecar") {
			t.Errorf("the agent's Pod has the volumes %s", line)
		}
	}
	replayAll(t)
	pods := podNames(t)

	t.Run("crash", func(t *testing.T) {
		edit(t, change{"go/cmd/agent/main.go", `	slog.SetDefault(`, `	panic("it was wrong from the start")
	slog.SetDefault(`})
		if _, err := dynsandbox(t.Context(), "wait", "--for=reloaded"); exitCode(err) != 1 {
			t.Errorf("wait for a change that crashes: %v", err)
		}
		if got := refusal(t, "uva"); got != "Authorization header is missing" {
			t.Errorf("after a change that crashes: %q", got)
		}
	})
	t.Run("service of Jobs", func(t *testing.T) {
		edit(t, change{"go/cmd/sql-algorithm/compute.go", `men.put(answer, "avg_salary_scale_men")`, `men.put(answer, "average_of_men")`})
		must(t, "wait", "sql-algorithm", "--for=reloaded")
		got := ask(t, "mount", []string{"UVA"}, map[string]bool{"aggregate": false})
		if len(got) != 1 || got[0]["average_of_men"] == "" {
			t.Errorf("the request after the edit: %v", got)
		}
		if made := kubectl(t, "", "get", "pods", "-A", "-l", "batch.kubernetes.io/job-name", "-o", volumeNames); !strings.Contains(made, "mount-sql-algorithm") {
			t.Errorf("Pods that the agent made have the volumes\n%s", made)
		}
	})
	t.Run("service of Jobs that crashes", crashesInAJob)
	t.Run("long-running service", func(t *testing.T) {
		edit(t, change{"go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?"`})
		must(t, "wait", "agent", "--for=reloaded")
		if got := refusal(t, "uva"); got != "Who asks?" {
			t.Errorf("after the edit: %q", got)
		}
		if after := podNames(t); after != pods {
			t.Errorf("pods before and after:\n%s\n%s", pods, after)
		}
		var status struct {
			Services []struct {
				Name           string
				Stale, Mounted bool
			}
		}
		mustJSON(t, &status, "status")
		for _, s := range status.Services {
			if s.Stale || !s.Mounted {
				t.Errorf("%s: stale %v, mounted %v", s.Name, s.Stale, s.Mounted)
			}
		}
		up("--mount=false")
		if now := kubectl(t, "", "get", "pods", "-A", "-o", volumeNames); strings.Contains(now, "mount-agent") {
			t.Errorf("with the mount off Pods have the volumes\n%s", now)
		}
		if got := refusal(t, "uva"); got != "Who asks?" {
			t.Errorf("from the image: %q", got)
		}
		replayAll(t)
	})
	must(t, "wait", "--for=reloaded")
	if got := refusal(t, "uva"); got != "Authorization header is missing" {
		t.Errorf("after taking it back: %q", got)
	}
}

// dynsandboxAfter runs the program when the test's context has ended.
func dynsandboxAfter(t *testing.T, args ...string) {
	t.Helper()
	if _, err := dynsandbox(context.Background(), args...); err != nil {
		t.Error(err)
	}
}
