package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// traced is what `trace -o json` prints, as far as the tests look at it.
type traced struct {
	Trace  string
	Jobs   []string
	Errors int
	Spans  []*spanOf
}

type spanOf struct {
	ID, Parent, Group, Service, Name, Error, Request string
	Failed                                           bool
	Links                                            []struct{ ID string }
}

func (s *spanOf) String() string { return s.Group + "/" + s.Service + " " + s.Name }

// find returns the spans of a service, by "party/service name".
func (t traced) find(name string) (found []*spanOf) {
	for _, s := range t.Spans {
		if s.String() == name {
			found = append(found, s)
		}
	}
	return found
}

// path is a span and all that it follows, up to the request.
func (t traced) path(of *spanOf) (path []string) {
	for of != nil && len(path) < len(t.Spans) {
		path = append(path, of.String())
		i := slices.IndexFunc(t.Spans, func(s *spanOf) bool { return s.ID == of.Parent })
		if of = nil; i >= 0 {
			of = t.Spans[i]
		}
	}
	return path
}

// missing says which spans have not arrived: some of those named, or what others follow.
func (t traced) missing(names ...string) (missing []string) {
	for _, name := range names {
		if len(t.find(name)) == 0 {
			missing = append(missing, name)
		}
	}
	for _, s := range t.Spans {
		if s.Parent != "" && !slices.ContainsFunc(t.Spans, func(p *spanOf) bool { return p.ID == s.Parent }) {
			missing = append(missing, "what "+s.String()+" follows")
		}
	}
	return missing
}

// traceOf waits for a job's spans: each service sends its own within a second, or when its Pod ends.
func traceOf(t *testing.T, job string, names ...string) traced {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		var got traced
		out, err := dynsandbox(t.Context(), "trace", job, "-o", "json")
		if err == nil {
			err = json.Unmarshal(out, &got)
		}
		missing := got.missing(names...)
		if err == nil && len(missing) == 0 {
			return got
		}
		if time.Now().After(deadline) {
			text, _ := dynsandbox(t.Context(), "trace", job)
			t.Fatalf("error %v; missing:\n%s\nof\n%s", err, strings.Join(missing, "\n"), text)
		}
	}
}

// One request is one trace, from the gateway through every agent, sidecar and service of both data providers and the third
// party, each under what it follows.
func TestTraceOfARequest(t *testing.T) {
	job := approvedJob(t, http.StatusOK, joinQuery, []string{"UVA", "VU"}, map[string]bool{"aggregate": true})
	want := []string{
		"api-gateway/api-gateway requestApprovalResponse",
		"orchestrator/policy-enforcer validate",
		"orchestrator/orchestrator compose",
		"surf/sql-aggregate handle sqlDataRequest",
		"surf/sql-algorithm handle sqlDataRequest",
	}
	for _, party := range []string{"uva", "vu", "surf"} {
		want = append(want, party+"/agent compositionRequest", party+"/agent run chain", party+"/agent microserviceCommunication")
	}
	for _, party := range []string{"uva", "vu"} {
		want = append(want, party+"/"+sqlQuerySpan)
	}
	got := traceOf(t, job, want...)
	if !slices.Equal(got.Jobs, []string{job}) || got.Errors > 0 {
		t.Errorf("jobs %v, %d errors; want %s and none", got.Jobs, got.Errors, job)
	}

	const request = "api-gateway/api-gateway POST /api/v1/requestApproval"
	approval := []string{
		"api-gateway/api-gateway requestApprovalResponse",
		"api-gateway/sidecar receive requestApprovalResponse", "orchestrator/sidecar send requestApprovalResponse",
		"orchestrator/orchestrator compose", "orchestrator/orchestrator validationResponse",
		"orchestrator/sidecar receive validationResponse", "orchestrator/sidecar send validationResponse",
		"orchestrator/policy-enforcer requestApproval",
		"orchestrator/sidecar receive requestApproval", "api-gateway/sidecar send requestApproval", request,
	}
	checkPath(t, got, approval)
	thirdParty := []string{
		"surf/agent run chain", "surf/agent POST /agent/v1/sqlDataRequest/surf", "api-gateway/api-gateway call agent", request,
	}
	provider := func(party string) []string {
		return append([]string{
			party + "/" + sqlQuerySpan,
			party + "/sidecar receive microserviceCommunication", party + "/sidecar send microserviceCommunication",
			party + "/agent run chain", party + "/agent sqlDataRequest",
			party + "/sidecar receive sqlDataRequest", "surf/sidecar send sqlDataRequest",
		}, thirdParty...)
	}
	checkPath(t, got, provider("uva"))
	checkPath(t, got, provider("vu"))

	// The third party's chain follows the provider whose rows came last, and is linked to the other.
	aggregate := got.find("surf/sql-aggregate handle sqlDataRequest")[0]
	if len(aggregate.Links) != 1 || aggregate.Links[0].ID == aggregate.Parent {
		t.Errorf("sql-aggregate has links %v, want one to the other provider's message", aggregate.Links)
	}
	last := strings.SplitN(got.path(aggregate)[len(got.path(aggregate))-len(provider("uva"))], "/", 2)[0]
	if last != "uva" && last != "vu" {
		t.Fatalf("sql-aggregate follows\n%s", strings.Join(got.path(aggregate), "\n"))
	}
	checkPath(t, got, append([]string{
		"surf/agent microserviceCommunication", "surf/sidecar receive microserviceCommunication", "surf/sidecar send microserviceCommunication",
		"surf/sql-algorithm handle sqlDataRequest", "surf/sql-aggregate handle sqlDataRequest",
		"surf/sidecar receive microserviceCommunication", "surf/sidecar send microserviceCommunication", "surf/agent microserviceCommunication",
		"surf/sidecar receive microserviceCommunication", last + "/sidecar send microserviceCommunication", last + "/agent microserviceCommunication",
		last + "/sidecar receive microserviceCommunication", last + "/sidecar send microserviceCommunication",
	}, provider(last)...))

	// All of one data request's have its id, and it finds them too.
	if id := aggregate.Request; id == "" {
		t.Error("sql-aggregate's span has no correlation id")
	} else if byID := traceOf(t, id); byID.Trace != got.Trace {
		t.Errorf("data request %s is of trace %s, the job of %s", id, byID.Trace, got.Trace)
	}
}

// sqlQuerySpan is that of the Python service.
const sqlQuerySpan = "sql-query handle sqlDataRequest"

// checkPath checks that a span has exactly the ancestors that follow it in the path.
func checkPath(t *testing.T, in traced, want []string) {
	t.Helper()
	var paths []string
	for _, s := range in.find(want[0]) {
		got := in.path(s)
		if slices.Equal(got, want) {
			return
		}
		paths = append(paths, strings.Join(got, "\n"))
	}
	t.Errorf("%s follows\n%s\nwant\n%s", want[0], strings.Join(paths, "\nor\n"), strings.Join(want, "\n"))
}

// approvedJob sends a request, and returns its job.
func approvedJob(t *testing.T, status int, query string, providers []string, options map[string]bool) string {
	t.Helper()
	got, body := postQuery(t, "trace", query, "average", providers, options)
	var answer struct{ JobID string }
	if err := json.Unmarshal(body, &answer); err != nil || got != status || answer.JobID == "" {
		t.Fatalf("the gateway answers %d: %s", got, body)
	}
	return answer.JobID
}

// The service that failed has the error, with its words, and so has everyone who was told.
func TestTraceOfAFailure(t *testing.T) {
	job := approvedJob(t, http.StatusBadGateway, "SELECT * FROM Nowhere", []string{"UVA"}, map[string]bool{"aggregate": false})
	got := traceOf(t, job, "uva/"+sqlQuerySpan, "uva/sql-algorithm handle sqlDataRequest", "uva/agent run chain")
	for name, fails := range map[string]bool{
		"uva/" + sqlQuerySpan:                                  true,
		"uva/sql-algorithm handle sqlDataRequest":              false, // it hands the failure on
		"uva/agent run chain":                                  true,
		"uva/agent POST /agent/v1/sqlDataRequest/uva":          true,
		"api-gateway/api-gateway call agent":                   true,
		"api-gateway/api-gateway POST /api/v1/requestApproval": true,
		"orchestrator/orchestrator compose":                    false,
	} {
		for _, s := range got.find(name) {
			if s.Failed != fails || fails && !strings.Contains(s.Error, "Nowhere") {
				t.Errorf("%s: failed %v with %q, want %v", s, s.Failed, s.Error, fails)
			}
		}
		if len(got.find(name)) != 1 {
			t.Errorf("%d spans %s", len(got.find(name)), name)
		}
	}
	text, err := dynsandbox(t.Context(), "trace", got.Trace[:8])
	if err != nil {
		t.Fatal(err)
	}
	if head := fmt.Sprintf("job %s  %d failed", job, got.Errors); !strings.Contains(string(text), head) || !strings.Contains(string(text), "error: ") {
		t.Errorf("want %q and the errors in\n%s", head, text)
	}
}
