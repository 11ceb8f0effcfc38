package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kills is how often each kind of process is killed: a few by default, more with DYNSANDBOX_E2E_KILLS.
func kills(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("DYNSANDBOX_E2E_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 2
}

// keys are the launch files' keys in the config store.
func keys(t *testing.T) string {
	t.Helper()
	var report struct {
		Changes struct{ Added, Changed, Removed []any }
	}
	mustJSON(t, &report, "fixtures", "diff")
	if n := len(report.Changes.Added) + len(report.Changes.Changed) + len(report.Changes.Removed); n > 0 {
		t.Errorf("%d keys differ from the launch files", n)
	}
	return must(t, "fixtures", "diff")
}

// converged brings the sandbox up after a kill and checks that nothing is missing.
func converged(t *testing.T) {
	t.Helper()
	var again upSummary
	if err := upInto(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	keys(t)
	var status struct {
		State  string
		Agents []string
	}
	mustJSON(t, &status, "status")
	if status.State != "ready" || strings.Join(status.Agents, " ") != "SURF UVA VU" {
		t.Errorf("state %s, agents %v", status.State, status.Agents)
	}
	replayAll(t)
}

// sessionPID finds the session process of the tests' sandbox.
func sessionPID(t *testing.T) int {
	t.Helper()
	processes, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile("/proc/" + p.Name() + "/cmdline")
		if err != nil {
			continue // gone
		}
		argv := strings.Split(string(bytes.TrimRight(cmdline, "\x00")), "\x00")
		if len(argv) == 4 && strings.HasSuffix(argv[0], "dynsandbox") && argv[1] == "session" && argv[3] == sandboxName {
			return pid
		}
	}
	return 0
}

func TestSessionKilled(t *testing.T) {
	for range kills(t) {
		pid := sessionPID(t)
		if pid == 0 {
			t.Fatal("no session process")
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if _, err := dynsandbox(t.Context(), "replay"); exitCode(err) != 3 {
			t.Errorf("replay without a session ends with %v, want code 3", err)
		}
		converged(t)
	}
}

// Up itself is killed, and so is the session that works for it, at a random moment of a bring-up that has much to do:
// the whole cluster.
func TestUpKilled(t *testing.T) {
	for range kills(t) {
		must(t, "down", "--purge")
		cmd := exec.Command(binary, "up", "--workspace", workspace)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "DYNSANDBOX_NAME="+sandboxName)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := time.Duration(rand.IntN(30_000)) * time.Millisecond
		t.Logf("killed after %s", after)
		kill := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // the kill, or success before it
		kill.Stop()
		if rand.IntN(2) == 0 {
			if pid := sessionPID(t); pid != 0 {
				t.Log("and the session with it")
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		converged(t)
	}
}

func TestDownAndUpAgainKeepsTheData(t *testing.T) {
	kubectl(t, "", "create", "configmap", "kept", "--from-literal=a=b")
	out := must(t, "down")
	if !strings.Contains(out, "stopped") {
		t.Errorf("down: %s", out)
	}
	if _, err := dynsandbox(t.Context(), "status"); exitCode(err) != 3 {
		t.Errorf("status of a stopped sandbox ends with %v, want code 3", err)
	}
	converged(t)
	if out := kubectl(t, "", "get", "configmap", "kept", "-o", "jsonpath={.data.a}"); out != "b" {
		t.Errorf("the cluster's data: %q", out)
	}
}
