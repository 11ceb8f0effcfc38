package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// What the reference platform makes of requests that upstream loses, delays or crashes on.

const platformUser = "jorrit.stutterheim@cloudnation.nl"

// slowQuery is at work for seconds; the sandbox's machine decides how many.
const slowQuery = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x < 10000000) " +
	"SELECT p.Geslacht, s.Salschal FROM Personen p JOIN Aanstellingen s ON p.Unieknr = s.Unieknr WHERE (SELECT count(*) FROM c) > 0"

// refused is what the gateway says instead of an answer.
type refused struct {
	JobID  string
	Error  string
	Errors []struct {
		Provider string
		Status   int
		Error    string
	}
}

// gateway sends a body for approval, and returns what comes back.
func gateway(t *testing.T, body any) (status int, answer refused) {
	t.Helper()
	status, text := send(t, "", "/api/v1/requestApproval", body)
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		t.Fatalf("the gateway answers %d %q: %v", status, text, err)
	}
	return status, answer
}

// request is a body for approval.
func request(query string, providers []string, options map[string]any) map[string]any {
	return map[string]any{
		"type": "sqlDataRequest", "user": map[string]string{"id": "platform", "userName": platformUser}, "dataProviders": providers,
		"data_request": map[string]any{
			"type": "sqlDataRequest", "query": query, "algorithm": "average", "options": options, "requestMetadata": map[string]any{},
		},
	}
}

// said is what a Service answers.
type said struct {
	status int
	text   string
	err    error
}

// send asks a Service of the platform with JSON, by default the gateway.
func send(t *testing.T, service, path string, body any) (status int, text string) {
	t.Helper()
	answer := <-sending(t, service, path, body)
	if answer.err != nil {
		t.Fatal(answer.err)
	}
	return answer.status, answer.text
}

// sending is send that doesn't wait for the answer.
func sending(t *testing.T, service, path string, body any) <-chan said {
	t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	method := http.MethodPost
	if service == "orchestrator" {
		method = http.MethodPut
	}
	r, err := http.NewRequestWithContext(t.Context(), method, gatewayURL(t)+path, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if service != "" {
		r.Host = service + "." + service + ".localhost"
	}
	r.Header.Set("Authorization", "bearer 1234")
	answers := make(chan said, 1)
	go func() {
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			answers <- said{err: err}
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		answers <- said{res.StatusCode, strings.TrimSpace(string(text)), err}
	}()
	return answers
}

// approved has a request answered, and returns its job for further ones.
func approved(t *testing.T, providers []string, options map[string]bool) string {
	t.Helper()
	status, body := post(t, "platform", providers, options)
	var answer struct{ JobID string }
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
		t.Fatalf("the gateway answers %d: %s", status, body)
	}
	return answer.JobID
}

// again sends an agent a further data request of a job.
func again(t *testing.T, agent, job, query string, options map[string]bool) <-chan said {
	t.Helper()
	return sending(t, agent, "/agent/v1/sqlDataRequest/"+agent, map[string]any{
		"type": "sqlDataRequest", "query": query, "algorithm": "average", "options": options,
		"user": map[string]string{"id": "platform", "userName": platformUser}, "requestMetadata": map[string]string{"jobId": job},
	})
}

// checkSaid checks an agent's answer.
func (s salaries) checkSaid(t *testing.T, answer said) {
	t.Helper()
	got := map[string]string{}
	if err := json.Unmarshal([]byte(answer.text), &got); answer.err != nil || err != nil || answer.status != http.StatusOK {
		t.Errorf("the agent answers %d %q, %v", answer.status, answer.text, answer.err)
		return
	}
	s.check(t, got)
}

func salariesOf(t *testing.T, parties ...string) salaries {
	t.Helper()
	s := newSalaries()
	for _, party := range parties {
		s.joined(t, party)
	}
	return s
}

func TestSeveralUsersAtOnce(t *testing.T) {
	both := salariesOf(t, "UVA", "VU")
	t.Run("one", func(t *testing.T) {
		t.Parallel()
		if got := ask(t, "first", []string{"UVA", "VU"}, map[string]bool{"aggregate": true}); len(got) != 1 {
			t.Errorf("%d responses, want one for both", len(got))
		} else {
			both.check(t, got[0])
		}
	})
	t.Run("another", func(t *testing.T) {
		t.Parallel()
		if got := ask(t, "second", []string{"UVA", "VU"}, map[string]bool{"aggregate": false}); len(got) != 2 {
			t.Errorf("%d responses, want one for each", len(got))
		} else {
			salariesOf(t, "UVA").check(t, got[0])
			salariesOf(t, "VU").check(t, got[1])
		}
	})
}

// Requests of one job share a queue; each gets its own answer, one right after the other and at once.
func TestRequestsOfOneJob(t *testing.T) {
	want := salariesOf(t, "UVA")
	job := approved(t, []string{"UVA"}, map[string]bool{"aggregate": false})
	want.checkSaid(t, <-again(t, "uva", job, joinQuery, nil))
	one, another := again(t, "uva", job, joinQuery, nil), again(t, "uva", job, joinQuery, nil)
	want.checkSaid(t, <-one)
	want.checkSaid(t, <-another)
}

func TestRequestsThatMakeNoSense(t *testing.T) {
	body := request(joinQuery, []string{"UVA"}, map[string]any{"graph": "yes"})
	if status, got := gateway(t, body); status != http.StatusBadRequest || !strings.Contains(got.Error, "options") {
		t.Errorf("an option that is no boolean: %d %+v", status, got)
	}
	body = request(joinQuery, []string{"UVA"}, nil)
	body["data_request"].(map[string]any)["qurey"] = ""
	if status, got := gateway(t, body); status != http.StatusBadGateway || len(got.Errors) != 1 || !strings.Contains(got.Errors[0].Error, "qurey") {
		t.Errorf("an unknown key: %d %+v", status, got)
	}
	if status, text := send(t, "uva", "/agent/v1/sqlDataRequest/uva", map[string]any{}); status != http.StatusInternalServerError || text != "Job ID not passed" {
		t.Errorf("a data request without a job: %d %q", status, text)
	}
}

// A service that fails is named, at the provider that the gateway asked or behind a third party.
func TestFailingServiceIsNamed(t *testing.T) {
	for _, aggregate := range []bool{false, true} {
		status, got := gateway(t, request("SELECT * FROM Nowhere", []string{"UVA", "VU"}, map[string]any{"aggregate": aggregate}))
		if status != http.StatusBadGateway {
			t.Errorf("aggregate %v: %d %+v", aggregate, status, got)
		}
		var providers []string
		for _, e := range got.Errors {
			providers = append(providers, e.Provider)
			if !strings.Contains(e.Error, "sql-query: ") || !strings.Contains(e.Error, "Nowhere") {
				t.Errorf("aggregate %v: %s says %q", aggregate, e.Provider, e.Error)
			}
		}
		if want := map[bool][]string{false: {"UVA", "VU"}, true: {"SURF"}}[aggregate]; !slices.Equal(providers, want) {
			t.Errorf("aggregate %v: errors of %v, want %v", aggregate, providers, want)
		}
	}
}

// A chain with a container that has no image, or that ends at once, is answered long before its time-out.
func TestChainThatCannotRunIsNamed(t *testing.T) {
	t.Cleanup(func() { dynsandboxAfter(t, "fixtures", "apply") })
	put := func(path string, record any) {
		t.Helper()
		if status, text := send(t, "orchestrator", "/api/v1/"+path, record); status != http.StatusOK {
			t.Fatalf("the orchestrator answers %d %s", status, text)
		}
	}
	outputs := []string{"sql-aggregate", "sql-algorithm"}
	put("microservices", map[string]any{"name": "no-image", "label": "dataProvider", "allowedOutputs": outputs})
	// In a Job, where nothing may speak to Kubernetes, an agent ends with an error.
	put("microservices", map[string]any{"name": "agent", "label": "dataProvider", "allowedOutputs": outputs})
	put("requestTypes", map[string]any{
		"name": "sqlDataRequest", "requiredServices": []string{"sql-query", "sql-algorithm"},
		"optionalServices": map[string]string{"sql-aggregate": "aggregate", "no-image": "missing", "agent": "crash"},
	})
	begun := time.Now()
	status, got := gateway(t, request(joinQuery, []string{"UVA"}, map[string]any{"missing": true}))
	if status != http.StatusBadGateway || len(got.Errors) != 1 || !strings.HasPrefix(got.Errors[0].Error, "no-image: its container can't start: ErrImage") {
		t.Errorf("without an image: %d %+v", status, got)
	}
	kubectl(t, "", "wait", "-n", "uva", "--for=delete", "job/"+got.JobID+"uva1", "--timeout=20s")
	status, got = gateway(t, request(joinQuery, []string{"UVA"}, map[string]any{"crash": true, "aggregate": true}))
	if status != http.StatusBadGateway || len(got.Errors) != 1 || got.Errors[0].Provider != "SURF" ||
		!strings.HasPrefix(got.Errors[0].Error, "UVA: agent: its container ended with exit code 1 ") || !strings.Contains(got.Errors[0].Error, "find the cluster") {
		t.Errorf("with a container that ends: %d %+v", status, got)
	}
	t.Logf("both after %.1f s", time.Since(begun).Seconds())
}

// podOf waits until the Pod of a Kubernetes Job runs, or has run, and returns its name.
func podOf(t *testing.T, namespace, job string) string {
	t.Helper()
	selector := "batch.kubernetes.io/job-name=" + job
	kubectl(t, "", "wait", "-n", namespace, "--for=create", "pod", "-l", selector, "--timeout=60s")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	states := []string{"condition=Ready", "jsonpath={.status.phase}=Succeeded"} // a Pod that has ended is Ready no more
	reached := make(chan error, len(states))
	for _, state := range states {
		go func() {
			_, err := dynsandbox(ctx, "kubectl", "wait", "-n", namespace, "--for="+state, "pod", "-l", selector, "--timeout=60s")
			reached <- err
		}()
	}
	if err := <-reached; err != nil {
		if other := <-reached; other != nil {
			t.Fatalf("the pod of %s neither runs nor has run: %v, %v", job, err, other)
		}
	}
	return kubectl(t, "", "get", "pod", "-n", namespace, "-l", selector, "-o", "jsonpath={.items[0].metadata.name}")
}

func TestKilledContainerIsNamed(t *testing.T) {
	job := approved(t, []string{"UVA"}, map[string]bool{"aggregate": false})
	answer := again(t, "uva", job, strings.Replace(slowQuery, "10000000", "1000000000", 1), nil)
	pod := podOf(t, "uva", job+"uva2")
	id := kubectl(t, "", "get", "pod", "-n", "uva", pod, "-o", `jsonpath={.status.containerStatuses[?(@.name=="sql-algorithm")].containerID}`)
	node := "dynsandbox-" + sandboxName + "-control-plane"
	out, err := exec.Command("docker", "exec", node, "ctr", "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", strings.TrimPrefix(id, "containerd://")).CombinedOutput()
	if err != nil {
		t.Fatalf("kill the container: %v\n%s", err, out)
	}
	if got := <-answer; got.status != http.StatusInternalServerError || !strings.HasPrefix(got.text, "sql-algorithm: its container ended with exit code 137 ") {
		t.Errorf("the agent answers %d %q", got.status, got.text)
	}
	salariesOf(t, "UVA").checkSaid(t, <-again(t, "uva", job, joinQuery, nil))
}

// What a Pod had not answered when it was deleted is answered by the next.
func TestDeletedPodsOfAChain(t *testing.T) {
	job := approved(t, []string{"UVA", "VU"}, map[string]bool{"aggregate": true})
	answer := again(t, "surf", job, slowQuery, map[string]bool{"aggregate": true})
	for _, agent := range []string{"uva", "surf"} {
		kubectl(t, "", "delete", "pod", "-n", agent, podOf(t, agent, job+agent+"2"), "--wait=false")
	}
	salariesOf(t, "UVA", "VU").checkSaid(t, <-answer)
}

// A request that comes while every long-running service is replaced has its whole answer.
func TestDeletedPodsOfServices(t *testing.T) {
	const services = "app,!batch.kubernetes.io/job-name"
	gateways := strings.Fields(kubectl(t, "", "get", "pods", "-n", "api-gateway", "-l", services, "-o", "name"))
	for _, namespace := range []string{"orchestrator", "uva", "vu", "surf", "api-gateway"} {
		kubectl(t, "", "delete", "pods", "-n", namespace, "-l", services, "--wait=false")
	}
	// Only then is the gateway that answers the new one.
	kubectl(t, "", append([]string{"wait", "-n", "api-gateway", "--for=delete", "--timeout=60s"}, gateways...)...)
	kubectl(t, "", "rollout", "status", "-n", "api-gateway", "deployment/api-gateway", "--timeout=60s")
	if got := ask(t, "restart", []string{"UVA", "VU"}, map[string]bool{"aggregate": false}); len(got) != 2 {
		t.Errorf("%d responses, want one for each provider", len(got))
	}
	if got := ask(t, "restart", []string{"UVA", "VU"}, map[string]bool{"aggregate": true}); len(got) != 1 {
		t.Errorf("%d responses, want one for both", len(got))
	}
}

// An agreement that is replaced over the API holds for jobs that were approved before.
func TestReplacedAgreementHoldsForJobs(t *testing.T) {
	t.Cleanup(func() { dynsandboxAfter(t, "fixtures", "apply") })
	job := approved(t, []string{"UVA"}, map[string]bool{"aggregate": false})
	status, text := send(t, "orchestrator", "/api/v1/policyEnforcer", map[string]any{
		"name": "UVA", "computeProviders": []string{"SURF"}, "archetypes": []string{"dataThroughTtp"}, "relations": map[string]any{
			platformUser: map[string]any{"ID": "GUID", "allowedArchetypes": []string{"dataThroughTtp"}, "allowedComputeProviders": []string{"SURF"}},
		},
	})
	if status != http.StatusOK || text != "OK" {
		t.Fatalf("the orchestrator answers %d %q", status, text)
	}
	// The third party is told last; whoever finds its part finds the provider's changed.
	salariesOf(t, "UVA").checkSaid(t, <-again(t, "surf", job, joinQuery, map[string]bool{"aggregate": true}))
	if got := <-again(t, "uva", job, joinQuery, nil); got.status != http.StatusBadRequest || !strings.Contains(got.text, "dataProvider") {
		t.Errorf("the provider answers %d %q, though its rows may only go through a third party", got.status, got.text)
	}
}

// A name in the charts' values and in agreements is all that a further party needs.
func TestPartyByConfiguration(t *testing.T) {
	t.Cleanup(func() { kubectlAfter(t, "delete", "namespace", "aaa", "--wait=false") })
	const agreements = "configuration/etcd_launch_files/agreements.json"
	edit(t, change{"charts/thirdparty/values.yaml", "agents:\n", "agents:\n  - AAA\n"},
		change{agreements, `"allowedComputeProviders": ["SURF"]`, `"allowedComputeProviders": ["AAA"]`})
	edit(t, change{agreements, `"computeProviders": ["SURF"]`, `"computeProviders": ["SURF", "AAA"]`})
	must(t, "wait", "--for=reloaded")
	got := ask(t, "party", []string{"UVA"}, map[string]bool{"aggregate": true})
	if len(got) != 1 {
		t.Fatalf("%d responses, want one", len(got))
	}
	salariesOf(t, "UVA").check(t, got[0])
	if jobs := kubectl(t, "", "get", "jobs", "-n", "aaa", "-o", "name"); jobs == "" {
		t.Error("the new party ran nothing")
	}
}
