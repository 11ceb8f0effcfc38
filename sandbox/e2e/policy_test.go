package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// A Pod's containers, in one line, with their pull policies.
const policies = `jsonpath={range .items[*]}{.metadata.name}{range .spec.initContainers[*]} {.imagePullPolicy}{end}{range .spec.containers[*]} {.imagePullPolicy}{end}{range .spec.ephemeralContainers[*]} {.imagePullPolicy}{end}{"\n"}{end}`

// What asks for Always with an image that no registry has must start all the same, whoever makes the Pod.
const handMade = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: by-hand, namespace: default}
spec:
  selector: {matchLabels: {app: by-hand}}
  template:
    metadata: {labels: {app: by-hand}}
    spec:
      initContainers:
      - {name: first, image: "dynamos1/sql-query:main", imagePullPolicy: Always, command: [python3, -c, "pass"]}
      containers:
      - {name: main, image: "dynamos1/sql-query:main", imagePullPolicy: Always, command: [python3, -c, "import time; time.sleep(3600)"]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: by-hand, namespace: default}
spec:
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: "dynamos1/sql-query:main", imagePullPolicy: Always, command: [python3, -c, "pass"]}
`

func TestNoPodIsEverPulledFor(t *testing.T) {
	t.Cleanup(func() {
		kubectlAfter(t, "delete", "deployment/by-hand", "job/by-hand", "--ignore-not-found", "--grace-period=1")
	})
	kubectl(t, handMade, "apply", "-f", "-")
	kubectl(t, "", "wait", "--for=condition=Available", "deployment/by-hand", "--timeout=120s")
	kubectl(t, "", "wait", "--for=condition=Complete", "job/by-hand", "--timeout=120s")
	pod := kubectl(t, "", "get", "pod", "-l", "app=by-hand", "-o", "jsonpath={.items[0].metadata.name}")
	kubectl(t, "", "debug", pod, "--image=dynamos1/sql-query:main", "--container=look", "--image-pull-policy=Always", "--", "python3", "-c", "pass")
	kubectl(t, "", "wait", "pod/"+pod, "--timeout=120s",
		`--for=jsonpath={.status.ephemeralContainerStatuses[0].state.terminated.reason}=Completed`)

	// With a request's Job among them.
	replayAll(t)
	for line := range strings.Lines(kubectl(t, "", "get", "pods", "-A", "-o", policies)) {
		if strings.Contains(line, "Always") {
			t.Errorf("a pod with Always: %s", line)
		}
	}
}

func TestContainerdNeverPulledOurImages(t *testing.T) {
	replayAll(t)
	log, err := exec.Command("docker", "exec", "dynsandbox-"+sandboxName+"-control-plane", "journalctl", "-u", "containerd", "--no-pager").CombinedOutput()
	if err != nil {
		t.Fatalf("read containerd's log: %v\n%s", err, log)
	}
	if !strings.Contains(string(log), "containerd") {
		t.Fatalf("containerd's log is not what is expected:\n%.500s", log)
	}
	for line := range strings.Lines(string(log)) {
		// One that isn't there at all is asked for by TestChainThatCannotRunIsNamed.
		if strings.Contains(line, "PullImage") && strings.Contains(line, "dynamos1/") && !strings.Contains(line, "dynamos1/no-image:") {
			t.Errorf("containerd was asked to pull: %s", line)
		}
	}
}

// kubectlAfter runs kubectl when the test's context has ended.
func kubectlAfter(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"--name", sandboxName, "kubectl"}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
