package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// edit replaces text in a file of the workspace, waits until that is what runs, and takes it back at the test's end.
func edit(t *testing.T, file, old, new string) {
	t.Helper()
	path := filepath.Join(workspace, file)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), old) {
		t.Fatalf("%s has no %q", file, old)
	}
	save := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Error(err)
		}
	}
	save(strings.Replace(string(before), old, new, 1))
	t.Cleanup(func() {
		save(string(before))
		if _, err := dynsandbox(context.Background(), "wait", "--for=reloaded"); err != nil { // the test's context has ended
			t.Error(err)
		}
	})
}

// refusal asks an agent for data without saying who asks, and returns what it says.
func refusal(t *testing.T, agent string) string {
	t.Helper()
	var env map[string]string
	mustJSON(t, &env, "env")
	// The cluster may learn of a Pod that is ready again a moment later than its kubelet.
	deadline := time.Now().Add(30 * time.Second)
	for {
		req, err := http.NewRequest(http.MethodPost, env["DYNSANDBOX_URL"]+"/agent/v1/sqlDataRequest/"+agent, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = agent + "." + agent + ".localhost"
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != http.StatusBadGateway || time.Now().After(deadline) {
			return strings.TrimSpace(string(body))
		}
	}
}

// A saved file of a long-running service is what runs, in the same Pods.
func TestSavedServiceIsRestartedInPlace(t *testing.T) {
	if got := refusal(t, "uva"); got != "Authorization header is missing" {
		t.Fatalf("before: %q", got)
	}
	pods := podNames(t)
	t.Run("edited", func(t *testing.T) {
		edit(t, "go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?"`)
		must(t, "wait", "agent", "--for=reloaded")
		for _, agent := range []string{"uva", "vu", "surf"} {
			if got := refusal(t, agent); got != "Who asks?" {
				t.Errorf("%s after the edit: %q", agent, got)
			}
		}
		replayAll(t) // with main container and sidecar as one
	})
	must(t, "wait", "--for=reloaded")
	if got := refusal(t, "uva"); got != "Authorization header is missing" {
		t.Errorf("after taking it back: %q", got)
	}
	if after := podNames(t); after != pods {
		t.Errorf("pods before and after:\n%s\n%s", pods, after)
	}
	replayAll(t)
	var again upSummary
	if err := upInto(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	if after := podNames(t); after != pods {
		t.Errorf("the next up replaced pods that were right:\n%s\n%s", pods, after)
	}
}

// A saved file of a service of Jobs is what the next request runs.
func TestSavedJobServiceRunsWithTheNextRequest(t *testing.T) {
	edit(t, "go/cmd/sql-algorithm/compute.go", `men.put(answer, "avg_salary_scale_men")`, `men.put(answer, "average_of_men")`)
	must(t, "wait", "sql-algorithm", "--for=reloaded")
	got := ask(t, "reload", []string{"UVA"}, map[string]bool{"aggregate": false})
	if len(got) != 1 || got[0]["average_of_men"] == "" {
		t.Errorf("the request after the edit: %v", got)
	}
}

// A change that doesn't compile is refused with the compiler's line, and what ran before runs on.
func TestBrokenChangeLeavesTheLastGoodVersion(t *testing.T) {
	t.Run("edited", func(t *testing.T) {
		edit(t, "go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?" +`)
		if _, err := dynsandbox(t.Context(), "wait", "--for=reloaded"); exitCode(err) != 1 || !strings.Contains(err.Error(), "agent") {
			t.Errorf("wait for a change that doesn't compile: %v", err)
		}
		if got := refusal(t, "uva"); got != "Authorization header is missing" {
			t.Errorf("after a change that doesn't compile: %q", got)
		}
		var status struct {
			Services []struct{ Name, Refused string }
		}
		mustJSON(t, &status, "status")
		for _, s := range status.Services {
			if (s.Name == "agent") != strings.Contains(s.Refused, "data.go:") {
				t.Errorf("%s was refused because of %q", s.Name, s.Refused)
			}
		}
		replayAll(t)
	})
	must(t, "wait", "--for=reloaded")
}

// A change that compiles and dies at its start is taken back.
func TestCrashingChangeIsTakenBack(t *testing.T) {
	t.Run("edited", func(t *testing.T) {
		edit(t, "go/cmd/agent/main.go", `	slog.SetDefault(`, `	panic("it was wrong from the start")
	slog.SetDefault(`)
		_, err := dynsandbox(t.Context(), "wait", "--for=reloaded")
		if exitCode(err) != 1 {
			t.Errorf("wait for a change that crashes: %v", err)
		}
		if got := refusal(t, "uva"); got != "Authorization header is missing" {
			t.Errorf("after a change that crashes: %q", got)
		}
		if out := must(t, "status"); !strings.Contains(out, "it was wrong from the start") {
			t.Errorf("status doesn't tell the crash:\n%s", out)
		}
		replayAll(t)
	})
	must(t, "wait", "--for=reloaded")
	replayAll(t)
}

// A saved launch file is in the config store, and one with an error isn't.
func TestSavedLaunchFileIsApplied(t *testing.T) {
	const file = "configuration/etcd_launch_files/archetype.json"
	t.Run("broken", func(t *testing.T) {
		edit(t, file, `"weight": 100`, `"weight": "heavy"`)
		if _, err := dynsandbox(t.Context(), "wait", "--for=reloaded"); exitCode(err) != 1 {
			t.Errorf("wait for a broken launch file: %v", err)
		}
		if out := must(t, "status"); !strings.Contains(out, "archetype.json:") {
			t.Errorf("status doesn't tell the broken launch file:\n%s", out)
		}
		replayAll(t)
	})
	edit(t, file, `"weight": 100`, `"weight": 150`)
	must(t, "wait", "--for=reloaded")
	if out := must(t, "fixtures", "diff"); !strings.Contains(out, "no changes") {
		t.Errorf("the saved file isn't in the config store:\n%s", out)
	}
}
