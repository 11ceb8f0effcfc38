package e2e

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestUpEndsWithAPassedScenario(t *testing.T) {
	if summary.Scenario == nil {
		if os.Getenv("DYNSANDBOX_E2E_KEEP") == "" {
			t.Fatal("a first bring-up must run a scenario")
		}
	} else if !summary.Scenario.Passed {
		t.Errorf("the scenario failed: %+v", summary.Scenario.Results)
	}
	for _, p := range summary.Phases {
		if p.State != "done" && p.State != "met" {
			t.Errorf("phase %s: %s (%s)", p.Name, p.State, p.Text)
		}
	}
}

func TestUpAgainChangesNothing(t *testing.T) {
	var again upSummary
	if err := upInto(t.Context(), &again); err != nil { // after what other tests have changed
		t.Fatal(err)
	}
	before := podNames(t)
	if err := upInto(t.Context(), &again); err != nil {
		t.Fatal(err)
	}
	if after := podNames(t); after != before {
		t.Errorf("pods before and after:\n%s\n%s", before, after)
	}
	for _, p := range again.Phases {
		switch p.Name {
		case "cluster", "build", "load", "scenario":
			if p.State != "met" {
				t.Errorf("phase %s did something on a running sandbox: %s %s", p.Name, p.State, p.Text)
			}
		case "deploy":
			if !strings.Contains(p.Text, "0 objects created, 0 changed") {
				t.Errorf("deploy: %s", p.Text)
			}
		case "launch-files":
			if p.Text != "no changes" {
				t.Errorf("launch-files: %s", p.Text)
			}
		}
	}
	var total float64
	for _, p := range again.Phases {
		total += p.Seconds
	}
	t.Logf("a second up: %.2f s over all phases", total)
}

// podNames are the platform's long-running Pods, with their UIDs: a replaced one would differ. Those of other tests are in
// the namespace default.
func podNames(t *testing.T) string {
	t.Helper()
	return kubectl(t, "", "get", "pods", "-A", "-l", "!batch.kubernetes.io/job-name", "--field-selector=metadata.namespace!=default", "--sort-by=.metadata.name",
		"-o", `jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name}/{.metadata.uid}{"\n"}{end}`)
}

func TestStatus(t *testing.T) {
	var status struct {
		State    string
		Phases   []phase
		Services []struct {
			Name, Newest string
			Running      []string
			Stale        bool
		}
		Agents    []string
		Endpoints []struct{ Name, URL string }

		ImageBytes int64
	}
	mustJSON(t, &status, "status")
	if status.ImageBytes < 1e8 {
		t.Errorf("images take %d bytes of the node's disk", status.ImageBytes)
	}
	if status.State != "ready" {
		t.Errorf("state: %s", status.State)
	}
	if got := strings.Join(status.Agents, " "); got != "SURF UVA VU" {
		t.Errorf("agents online: %s", got)
	}
	if len(status.Phases) == 0 || len(status.Endpoints) == 0 {
		t.Errorf("phases %d, endpoints %d", len(status.Phases), len(status.Endpoints))
	}
	want := map[string]bool{ // and whether it runs all the time
		"agent": true, "api-gateway": true, "orchestrator": true, "policy-enforcer": true, "sidecar": true,
		"sql-query": false, "sql-algorithm": false, "sql-aggregate": false, "sql-anonymize": false,
	}
	for _, s := range status.Services {
		running, known := want[s.Name]
		if !known {
			t.Errorf("service %s is not one of the platform's", s.Name)
		}
		delete(want, s.Name)
		if !strings.HasPrefix(s.Newest, "sha256:") {
			t.Errorf("%s: newest image %q", s.Name, s.Newest)
		}
		if running && len(s.Running) != 1 {
			t.Errorf("%s runs %v", s.Name, s.Running)
		}
		if s.Stale {
			t.Errorf("%s is stale right after up: runs %v, newest %s", s.Name, s.Running, s.Newest)
		}
	}
	if len(want) > 0 {
		t.Errorf("services that status doesn't list: %v", want)
	}
	// The secret is in the cluster, where services read it, and nowhere in what we print.
	password := kubectl(t, "", "get", "secret", "-n", "uva", "rabbit", "-o", `go-template={{.data.password | base64decode}}`)
	if len(password) < 16 {
		t.Fatalf("the broker's password is %d characters long", len(password))
	}
	for _, args := range [][]string{{"status"}, {"status", "-o", "json"}, {"up", "-o", "json"}, {"env"}} {
		if strings.Contains(must(t, args...), password) {
			t.Errorf("dynsandbox %s prints the broker's password", strings.Join(args, " "))
		}
	}
}

func TestScenarios(t *testing.T) { replayAll(t) }

// An image that nobody has ends the bring-up with its name and the kubelet's words, not with the time that it may take.
func TestUpWithoutAnImage(t *testing.T) {
	var before, after upSummary
	if err := upInto(t.Context(), &before, "--no-watch"); err != nil { // else it is refused when it is saved
		t.Fatal(err)
	}
	restore := save(t, change{"charts/orchestrator/templates/policy-enforcer.yaml", "image: {{ .Values.dockerArtifactAccount }}/policy-enforcer:", "image: nobody.invalid/has-it:"})
	began := time.Now()
	_, err := dynsandbox(t.Context(), "up", "--workspace", workspace, "--no-watch")
	took := time.Since(began)
	restore()
	if err := upInto(t.Context(), &after); err != nil {
		t.Fatal(err)
	}
	if err == nil || took > 2*time.Minute {
		t.Fatalf("after %v: %v", took, err)
	}
	for _, want := range []string{"Deployment orchestrator/policy-enforcer", "container policy-enforcer", "nobody.invalid/has-it:main", "ErrImagePull"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	replayAll(t)
}
