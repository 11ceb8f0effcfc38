package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// change is one of a file of the workspace.
type change struct{ file, old, new string }

// edit replaces text in files of the workspace, and takes it back at the test's end, when it waits until that is what runs.
func edit(t *testing.T, changes ...change) {
	t.Helper()
	var restore []func()
	for _, c := range changes {
		restore = append(restore, save(t, c))
	}
	t.Cleanup(func() {
		for _, f := range slices.Backward(restore) { // a file may have been changed twice
			f()
		}
		if _, err := dynsandbox(context.Background(), "wait", "--for=reloaded"); err != nil { // the test's context has ended
			t.Error(err)
		}
	})
}

// save replaces text in a file of the workspace and returns what takes it back: the file is then as it was, its time too.
func save(t *testing.T, c change) (restore func()) {
	t.Helper()
	path := filepath.Join(workspace, c.file)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), c.old) {
		t.Fatalf("%s has no %q", c.file, c.old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(before), c.old, c.new, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.WriteFile(path, before, 0o644), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
			t.Error(err)
		}
	}
}

// refusal asks an agent for data without saying who asks, and returns what it says.
func refusal(t *testing.T, agent string) string {
	t.Helper()
	var env map[string]string
	mustJSON(t, &env, "env")
	req, err := http.NewRequest(http.MethodPost, env["DYNSANDBOX_URL"]+"/agent/v1/sqlDataRequest/"+agent, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = agent + "." + agent + ".localhost"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body))
}

// A saved file of a long-running service is what runs, in the same Pods.
func TestSavedServiceIsRestartedInPlace(t *testing.T) {
	if got := refusal(t, "uva"); got != "Authorization header is missing" {
		t.Fatalf("before: %q", got)
	}
	pods := podNames(t)
	t.Run("edited", func(t *testing.T) {
		edit(t, change{"go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?"`})
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
	for _, p := range again.Phases {
		if p.Name == "build" && p.State != "met" {
			t.Errorf("the next up built again what reloads had built: %s", p.Text)
		}
	}
}

// A saved file of a service of Jobs is what the next request runs.
func TestSavedJobServiceRunsWithTheNextRequest(t *testing.T) {
	edit(t, change{"go/cmd/sql-algorithm/compute.go", `men.put(answer, "avg_salary_scale_men")`, `men.put(answer, "average_of_men")`})
	must(t, "wait", "sql-algorithm", "--for=reloaded")
	got := ask(t, "reload", []string{"UVA"}, map[string]bool{"aggregate": false})
	if len(got) != 1 || got[0]["average_of_men"] == "" {
		t.Errorf("the request after the edit: %v", got)
	}
}

// A service of Jobs that dies at its start is taken back by the first request that runs it, which is told.
func TestCrashingJobServiceIsTakenBack(t *testing.T) {
	t.Run("edited", crashesInAJob)
	must(t, "wait", "--for=reloaded")
	replayAll(t)
}

// crashesInAJob has a service of Jobs die, and waits until the one before it is back.
func crashesInAJob(t *testing.T) {
	edit(t, change{"go/cmd/sql-algorithm/main.go", `	os.Exit(`, `	panic("it was wrong from the start")
	os.Exit(`})
	must(t, "wait", "sql-algorithm", "--for=reloaded") // nobody has seen it run
	if status, body := post(t, "crash", []string{"UVA"}, map[string]bool{"aggregate": false}); status == http.StatusOK {
		t.Errorf("the first request after the edit: %s", body)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, err := dynsandbox(t.Context(), "wait", "--for=reloaded")
		if exitCode(err) == 1 && strings.Contains(err.Error(), "sql-algorithm") {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("a minute after the first request: %v", err)
		}
	}
	if out := must(t, "status"); !strings.Contains(out, "it was wrong from the start") {
		t.Errorf("status doesn't tell the crash:\n%s", out)
	}
	replayAll(t)
	must(t, "reload", "sql-query") // another service's doesn't bring it in again
	replayAll(t)
}

// Python that can't be read is refused when it is saved, not when a request runs it.
func TestBrokenPythonIsRefused(t *testing.T) {
	// The stand-in's Python is 3.11, as no newer one that the Dockerfile names can be pulled.
	if err := exec.Command("python3", "-c", "import sys; sys.exit(sys.version_info < (3, 11))").Run(); err != nil {
		t.Skipf("this machine's Python can't tell: %v", err)
	}
	t.Run("edited", func(t *testing.T) {
		edit(t, change{"python/sql-query/main.py", "\nimport ", "\nimport import "})
		if _, err := dynsandbox(t.Context(), "wait", "sql-query", "--for=reloaded"); exitCode(err) != 1 {
			t.Errorf("wait for a change that can't be read: %v", err)
		}
		if out := must(t, "status"); !strings.Contains(out, "python/sql-query/main.py:") {
			t.Errorf("status doesn't tell the mistake:\n%s", out)
		}
		replayAll(t)
	})
	must(t, "wait", "--for=reloaded")
}

// A change that doesn't compile is refused with the compiler's line, and what ran before runs on.
func TestBrokenChangeLeavesTheLastGoodVersion(t *testing.T) {
	t.Run("edited", func(t *testing.T) {
		edit(t, change{"go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?" +`})
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
		edit(t, change{"go/cmd/agent/main.go", `	slog.SetDefault(`, `	panic("it was wrong from the start")
	slog.SetDefault(`})
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

// A change that never gets ready isn't waited for once it is taken back.
func TestHangingChangeGivesWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events := exec.CommandContext(ctx, binary, "events", "--name", sandboxName)
	var told bytes.Buffer
	events.Stdout = &told
	if err := events.Start(); err != nil {
		t.Fatal(err)
	}
	restore := sync.OnceFunc(save(t, change{"go/cmd/agent/main.go", `	slog.SetDefault(`, `	time.Sleep(time.Hour)
	slog.SetDefault(`}))
	t.Cleanup(restore)
	kubectl(t, "", "wait", "-n", "uva", "--for=condition=Ready=false", "pod", "-l", "app=uva", "--timeout=60s")
	restore()
	must(t, "wait", "--for=reloaded")
	cancel()
	_ = events.Wait() // it was told to end
	if !strings.Contains(told.String(), "changed again before it was ready") {
		t.Errorf("it was waited for to the end:\n%s", told.String())
	}
	replayAll(t)
}

// What is saved while a change hangs, of other Pods, comes in meanwhile, and status tells what hangs: a service, then charts.
func TestHangingChangeHoldsUpNoOther(t *testing.T) {
	type state struct {
		UnderWay []struct {
			Services []string
			Since    time.Time
			At       string
		}
	}
	hangs := func(t *testing.T, service, at string) {
		t.Helper()
		var status state
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
			status = state{}
			mustJSON(t, &status, "status")
			for _, u := range status.UnderWay {
				if strings.Join(u.Services, " ") == service && strings.Contains(u.At, at) && !u.Since.IsZero() {
					return
				}
			}
		}
		t.Fatalf("status doesn't tell that %q is under way: %+v", service, status.UnderWay)
	}
	t.Run("a service", func(t *testing.T) {
		restore := sync.OnceFunc(save(t, change{"go/cmd/agent/main.go", `	slog.SetDefault(`, `	time.Sleep(time.Hour)
	slog.SetDefault(`}))
		t.Cleanup(restore)
		hangs(t, "agent", "wait for Pod ")
		edit(t, change{"go/cmd/sql-algorithm/compute.go", `men.put(answer, "avg_salary_scale_men")`, `men.put(answer, "average_of_men")`},
			change{"go/cmd/api-gateway/main.go", `	slog.SetDefault(`, `	slog.Info("saved beside what hangs")
	slog.SetDefault(`},
			change{"configuration/etcd_launch_files/archetype.json", `"weight": 100`, `"weight": 150`})
		must(t, "wait", "sql-algorithm", "--for=reloaded")
		must(t, "wait", "api-gateway", "--for=reloaded")
		if log := kubectl(t, "", "logs", "-n", "api-gateway", "-l", "app=api-gateway", "-c", "api-gateway"); !strings.Contains(log, "saved beside what hangs") {
			t.Errorf("the gateway runs what it ran:\n%s", log)
		}
		diff := ""
		for deadline := time.Now().Add(time.Minute); !strings.Contains(diff, "no changes"); diff = must(t, "fixtures", "diff") {
			if time.Now().After(deadline) {
				t.Fatalf("the launch file isn't applied:\n%s", diff)
			}
			time.Sleep(100 * time.Millisecond)
		}
		hangs(t, "agent", "wait for Pod ")
		restore()
	})
	t.Run("charts", func(t *testing.T) {
		restore := sync.OnceFunc(save(t, change{"charts/orchestrator/templates/policy-enforcer.yaml", "path: /healthz?wait=4s", "path: /nowhere"}))
		t.Cleanup(restore)
		hangs(t, "", "wait for Deployment orchestrator/policy-enforcer")
		edit(t, change{"go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?"`})
		must(t, "wait", "agent", "--for=reloaded")
		if got := refusal(t, "uva"); got != "Who asks?" {
			t.Errorf("the agent that was saved meanwhile: %q", got)
		}
		hangs(t, "", "wait for Deployment ")
		restore()
	})
	must(t, "wait", "--for=reloaded")
	replayAll(t)
}

// A service that doesn't compile, or dies at its start, holds back none that is saved with it or after it.
func TestBrokenServiceHoldsBackNoOther(t *testing.T) {
	t.Run("one doesn't compile", func(t *testing.T) {
		edit(t, change{"go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?" +`},
			change{"go/cmd/sql-algorithm/compute.go", `men.put(answer, "avg_salary_scale_men")`, `men.put(answer, "average_of_men")`})
		must(t, "wait", "sql-algorithm", "--for=reloaded")
		if _, err := dynsandbox(t.Context(), "wait", "agent", "--for=reloaded"); exitCode(err) != 1 {
			t.Errorf("wait for a change that doesn't compile: %v", err)
		}
		got := ask(t, "beside", []string{"UVA"}, map[string]bool{"aggregate": false})
		if len(got) != 1 || got[0]["average_of_men"] == "" {
			t.Errorf("the request after the edits: %v", got)
		}
	})
	t.Run("one dies at its start", func(t *testing.T) {
		restarts := func() string {
			return kubectl(t, "", "get", "pods", "-n", "api-gateway", "-o", `jsonpath={.items[*].status.containerStatuses[*].restartCount}`)
		}
		edit(t, change{"go/cmd/api-gateway/main.go", `	slog.SetDefault(`, `	panic("it was wrong from the start")
	slog.SetDefault(`}, change{"go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?"`})
		must(t, "wait", "agent", "--for=reloaded")
		if got := refusal(t, "uva"); got != "Who asks?" {
			t.Errorf("the agent that was saved with it: %q", got)
		}
		if _, err := dynsandbox(t.Context(), "wait", "api-gateway", "--for=reloaded"); exitCode(err) != 1 {
			t.Errorf("wait for a change that crashes: %v", err)
		}
		replayAll(t)
		before := restarts()
		save(t, change{"go/cmd/agent/data.go", `"Who asks?"`, `"Who wants it?"`})
		must(t, "wait", "agent", "--for=reloaded")
		if got := refusal(t, "uva"); got != "Who wants it?" {
			t.Errorf("the agent that was saved after it: %q", got)
		}
		if after := restarts(); after != before {
			t.Errorf("what crashed was tried again: restarts %s, then %s", before, after)
		}
	})
	replayAll(t)
}

// What was changed while a session ran, and taken back after it ended, is not what the next up leaves running.
func TestRevertWithoutASession(t *testing.T) {
	restore := save(t, change{"go/cmd/agent/data.go", `"Authorization header is missing"`, `"Who asks?"`})
	must(t, "wait", "--for=reloaded")
	pid := sessionPID(t)
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for sessionPID(t) != 0 {
		time.Sleep(50 * time.Millisecond)
	}
	restore()
	converged(t)
	if got := refusal(t, "uva"); got != "Authorization header is missing" {
		t.Errorf("after taking it back without a session: %q", got)
	}
}

// A change of charts that can't run is taken back, and what it added goes.
func TestFailingChartIsTakenBack(t *testing.T) {
	t.Run("edited", func(t *testing.T) {
		edit(t, change{"charts/api-gateway/values.yaml", "requestTimeout: 60s", "requestTimeout: never"},
			change{"charts/api-gateway/templates/api-gateway.yaml", "---\napiVersion: v1\nkind: Service", `---
apiVersion: v1
kind: ConfigMap
metadata:
  name: added
  namespace: api-gateway
---
apiVersion: v1
kind: Service`})
		if _, err := dynsandbox(t.Context(), "wait", "--for=reloaded"); exitCode(err) != 1 {
			t.Errorf("wait for charts that can't run: %v", err)
		}
		if out := must(t, "status"); !strings.Contains(out, "api-gateway") || !strings.Contains(out, "can't start") {
			t.Errorf("status doesn't tell what can't start:\n%s", out)
		}
		if out := kubectl(t, "", "get", "configmaps", "-n", "api-gateway"); strings.Contains(out, "added") {
			t.Errorf("what the charts added is still there:\n%s", out)
		}
		replayAll(t)
	})
	replayAll(t)
}

// Services that charts refer to by another tag are built under it.
func TestChangedTagIsBuilt(t *testing.T) {
	edit(t, change{"charts/api-gateway/values.yaml", "branchNameTag: main", "branchNameTag: feature"})
	must(t, "wait", "--for=reloaded")
	if out := kubectl(t, "", "get", "pods", "-n", "api-gateway", "-o", "jsonpath={.items[*].spec.containers[*].image}"); out != "dynamos1/api-gateway:feature dynamos1/sidecar:feature" {
		t.Errorf("the gateway runs %q", out)
	}
	replayAll(t)
}

// A saved launch file is in the config store, and one with an error isn't.
func TestSavedLaunchFileIsApplied(t *testing.T) {
	const file = "configuration/etcd_launch_files/archetype.json"
	t.Run("broken", func(t *testing.T) {
		edit(t, change{file, `"weight": 100`, `"weight": "heavy"`})
		if _, err := dynsandbox(t.Context(), "wait", "--for=reloaded"); exitCode(err) != 1 {
			t.Errorf("wait for a broken launch file: %v", err)
		}
		if out := must(t, "status"); !strings.Contains(out, "archetype.json:") {
			t.Errorf("status doesn't tell the broken launch file:\n%s", out)
		}
		replayAll(t)
	})
	edit(t, change{file, `"weight": 100`, `"weight": 150`})
	must(t, "wait", "--for=reloaded")
	if out := must(t, "fixtures", "diff"); !strings.Contains(out, "no changes") {
		t.Errorf("the saved file isn't in the config store:\n%s", out)
	}
}
