package e2e

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
)

// severalNodes is a sandbox beside the tests' own: the number of nodes can't be changed.
const severalNodes = sandboxName + "-nodes"

// pinned is a Pod on a certain node, of an image that only loading brings there.
const pinned = `
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  nodeName: dynsandbox-` + severalNodes + `-%s
  restartPolicy: Never
  containers:
  - {name: main, image: "dynamos1/sql-query:main", command: [python3, -uc, %q]}
`

// DYNSANDBOX_E2E_NODES=0 leaves this out: it makes a cluster of its own.
func TestSeveralNodes(t *testing.T) {
	if os.Getenv("DYNSANDBOX_E2E_NODES") == "0" {
		t.Skip("DYNSANDBOX_E2E_NODES=0")
	}
	must(t, "down", "--purge", "--name", severalNodes)
	t.Cleanup(func() {
		if _, err := dynsandbox(context.Background(), "down", "--purge", "--name", severalNodes); err != nil {
			t.Error(err)
		}
	})
	var first, again upSummary
	if err := upInto(t.Context(), &first, "--name", severalNodes, "--nodes", "2", "--no-scenario"); err != nil {
		t.Fatal(err)
	}
	podsReachEachOther(t)

	must(t, "down", "--name", severalNodes)
	if err := upInto(t.Context(), &again, "--name", severalNodes); err != nil {
		t.Fatal(err)
	}
	if again.Scenario == nil || !again.Scenario.Passed {
		t.Errorf("the scenario after the nodes have come back: %+v", again.Scenario)
	}
	podsReachEachOther(t)

	var status struct {
		State      string
		Containers []struct{ Name, State string }
	}
	mustJSON(t, &status, "status", "--name", severalNodes)
	nodes := 0
	for _, c := range status.Containers {
		if c.State == "running" && (strings.HasSuffix(c.Name, "-control-plane") || strings.HasSuffix(c.Name, "-worker")) {
			nodes++
		}
	}
	if status.State != "ready" || nodes != 2 {
		t.Errorf("state %s, containers %v, want both nodes", status.State, status.Containers)
	}
}

// podsReachEachOther has a Pod on one node ask one on the other, which must see it under its own address.
func podsReachEachOther(t *testing.T) {
	t.Helper()
	run := func(stdin string, args ...string) string { return kubectlOf(t, severalNodes, stdin, args...) }
	run(fmt.Sprintf(pinned, "asked", "control-plane", "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=8000)"), "apply", "-f", "-")
	run("", "wait", "--for=condition=Ready", "pod/asked", "--timeout=60s")
	address := run("", "get", "pod", "asked", "-o", "jsonpath={.status.podIP}")
	run(fmt.Sprintf(pinned, "asking", "worker", `
import time, urllib.request
for i in range(60):  # until the other listens
    try:
        urllib.request.urlopen('http://`+address+`:8000/', timeout=2)
        break
    except OSError as e:
        print(e)
        time.sleep(0.25)
else:
    raise SystemExit('no answer')
`), "apply", "-f", "-")
	run("", "wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/asking", "--timeout=60s")
	asking := run("", "get", "pod", "asking", "-o", "jsonpath={.status.podIP}")
	if log := run("", "logs", "asked"); asking == "" || !strings.Contains(log, asking+" - - ") {
		t.Errorf("the pod with the address %q was seen as another:\n%s", asking, log)
	}
	run("", "delete", "pod", "asked", "asking", "--grace-period=1")
}
