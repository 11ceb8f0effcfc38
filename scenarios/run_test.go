package scenarios

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scenario is a valid one with this expectation, which begins in line 10.
func scenario(t *testing.T, expect string) *Scenario {
	t.Helper()
	s, err := Parse("s.yaml", []byte(`version: 1
name: s
timeout: 20s
request:
  type: countRequest
  user: {id: "7", userName: ann.lee@example.org}
  dataProviders: [NORTH]
  data_request: {query: "SELECT '<&>'"}
expect:
`+expect))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// gateway answers every request for approval with this.
func gateway(t *testing.T, status int, body string) Gateway {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/requestApproval" || r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return Gateway{URL: srv.URL + "/", Client: srv.Client()}
}

// answers is the gateway's JSON for these responses.
func answers(t *testing.T, responses ...string) string {
	t.Helper()
	b, err := json.MarshalIndent(map[string]any{"jobId": "ann-lee-0123", "responses": responses}, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestRun(t *testing.T) {
	t.Parallel()
	const men, women = `{"men":"11.877","women":"10.597"}`, `{"men":"10.955","women":"9.657"}`
	const table = `[["Scale","Id"],["3","7"],["4.5","8"]]`
	two := `  responses:
    - json: {men: 10.955, women: 9.657}
    - json: {men: 11.87, women: 10.6}
      tolerance: 0.01
`
	for _, c := range []struct {
		name, expect string
		status       int
		responses    []string
		body         string // instead of responses
		want         []string
	}{
		{name: "in any order", expect: two, responses: []string{men, women}},
		{name: "a number off", expect: two, responses: []string{men, `{"men":"10.955","women":"9.658"}`},
			want: []string{`s.yaml:11:34: response.women: want 9.657, got "9.658"`}},
		{name: "a number off by more than the tolerance", expect: two, responses: []string{`{"men":"11.877","women":"10.611"}`, women},
			want: []string{`s.yaml:12:33: response.women: want 10.6 ± 0.01, got "10.611"`}},
		{name: "a key missing", expect: two, responses: []string{men, `{"men":"10.955"}`},
			want: []string{`s.yaml:11:27: response has no "women", want 9.657`}},
		{name: "a key too many", expect: two, responses: []string{men, `{"men":"10.955","women":"9.657","all":1}`},
			want: []string{`s.yaml:11:13: response has also "all" = 1`}},
		{name: "no number", expect: two, responses: []string{men, `{"men":"10.955","women":"NaN"}`},
			want: []string{`s.yaml:11:34: response.women: want 9.657, got "NaN"`}},
		{name: "one too few", expect: two, responses: []string{men},
			want: []string{`s.yaml:10:3: want 2 responses, got 1`, `s.yaml:11:7: no response is left for this`}},
		{name: "one too many", expect: two, responses: []string{men, women, men},
			want: []string{`s.yaml:10:3: want 2 responses, got 3`}},
		{name: "a failed party", expect: two, responses: []string{men, ""},
			want: []string{`s.yaml:11:7: the response is empty: a service failed or took too long`}},
		{name: "no JSON", expect: two, responses: []string{men, "oops"},
			want: []string{`s.yaml:11:7: want JSON, got "oops"`}},
		{name: "a loose expectation leaves the strict one its response", expect: `  responses:
    - json: {n: 1}
      tolerance: 9
    - json: {n: 1}
`, responses: []string{`{"n":1}`, `{"n":2}`}},

		{name: "count only", expect: "  count: 2\n", responses: []string{men, "x"}},
		{name: "empty among counted", expect: "  count: 2\n", responses: []string{men, ""},
			want: []string{`s.yaml:10:3: response 2 is empty: a service failed or took too long`}},
		{name: "empty as asked", expect: "  responses: [{empty: true}]\n", responses: []string{""}},
		{name: "not empty as asked", expect: "  responses: [{empty: true}]\n", responses: []string{"x"},
			want: []string{`s.yaml:10:15: want an empty response, got "x"`}},
		{name: "nothing asked", expect: "  status: 200\n", responses: []string{"x"}},
		{name: "nothing asked, nothing came", expect: "  status: 200\n", responses: []string{},
			want: []string{`s.yaml:10:3: want a response, got none`}},
		{name: "text", expect: "  responses: [{text: a}]\n", responses: []string{"b"},
			want: []string{`s.yaml:10:15: want the text "a", got "b"`}},
		{name: "nested values", expect: "  responses: [{json: {a: [1, x, true, null], b: {c: \"2\"}}}]\n", responses: []string{`{"a":["1","x",true,null],"b":{"c":"2"}}`}},
		{name: "a string is no number", expect: "  responses: [{json: {a: [1, x], c: \"2\"}}]\n", responses: []string{`{"a":[1],"c":2}`},
			want: []string{`s.yaml:10:26: response.a: want 2 elements, got 1`, `s.yaml:10:37: response.c: want "2", got 2`}},

		{name: "table", expect: "  responses: [{table: {columns: [Id, Scale], rows: 2, contains: [{Id: 8, Scale: 4.5}]}}]\n", responses: []string{table}},
		{name: "table differs", expect: "  responses: [{table: {columns: [Id], rows: 3, contains: [{Id: 8, Scale: 3}]}}]\n", responses: []string{table},
			want: []string{
				`s.yaml:10:23: want the columns Id, got Id, Scale`,
				`s.yaml:10:23: want 3 rows, got 2`,
				`s.yaml:10:59: no row has {"Id":8,"Scale":3}`,
			}},
		{name: "no table", expect: "  responses: [{table: {rows: 1}}]\n", responses: []string{`{"a":1}`},
			want: []string{`s.yaml:10:23: want a list of rows, the first with the columns' names, got {"a":1}`}},

		{name: "another status", expect: two, status: 408, body: "Request timed out\n",
			want: []string{`s.yaml:10:3: want status 200, got 408 "Request timed out\n"`}},
		{name: "a status as asked", expect: "  status: 408\n  body: timed out\n", status: 408, body: "Request timed out\n"},
		{name: "another body", expect: "  status: 408\n  body: refused\n", status: 408, body: "Request timed out\n",
			want: []string{`s.yaml:10:3: want an answer with "refused", got "Request timed out\n"`}},
		{name: "200 without a body", expect: two, body: "",
			want: []string{`s.yaml:10:3: the answer has no list of responses: ""`}},
		{name: "responses of another status", expect: "  status: 202\n  responses: [{text: a}]\n", status: 202, responses: []string{"b"},
			want: []string{`s.yaml:11:15: want the text "a", got "b"`}},
		{name: "responses of another status as asked", expect: "  status: 202\n  responses: [{text: a}]\n", status: 202, responses: []string{"a"}},
		{name: "count of another status", expect: "  status: 202\n  count: 2\n", status: 202, responses: []string{"a"},
			want: []string{`s.yaml:10:3: want 2 responses, got 1`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.responses != nil {
				c.body = answers(t, c.responses...)
			}
			if c.status == 0 {
				c.status = 200
			}
			res, err := Run(t.Context(), gateway(t, c.status, c.body), scenario(t, c.expect))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, res.Failures); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
			if res.Passed != (c.want == nil) {
				t.Errorf("passed = %v", res.Passed)
			}
			if c.responses != nil && (res.Answer.JobID != "ann-lee-0123" || !cmp.Equal(res.Answer.Responses, c.responses)) {
				t.Errorf("answer = %+v", res.Answer)
			}
		})
	}
}

// A library user can leave the unexported forms out.
func TestRunOfAnExpectationMadeInGo(t *testing.T) {
	t.Parallel()
	s := &Scenario{Name: "s", File: "s.go", Timeout: 20 * time.Second, Request: Request{Body: json.RawMessage("{}")},
		Expect: Expect{Status: 200, Count: 1, Responses: []Response{{}}}}
	res, err := Run(t.Context(), gateway(t, 200, answers(t, "x")), s)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"expectation: nothing is expected: want one of json, table, text and empty"}
	if diff := cmp.Diff(want, res.Failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
}

func TestRunShortensWhatItReports(t *testing.T) {
	t.Parallel()
	// The cut goes through a character of two bytes, and only the whole has the full stop.
	long := "a" + strings.Repeat("é", answerKept) + "."
	s := scenario(t, "  responses: [{text: x}, {text: y}]\n")
	s.Expect.Responses[0].Text = &long
	short := "a" + strings.Repeat("é", answerKept/2-1) + fmt.Sprintf("... (%d bytes in all)", 2*answerKept+2)

	res, err := Run(t.Context(), gateway(t, 200, answers(t, "y", long)), s)
	if err != nil || !res.Passed {
		t.Fatalf("%v, %v: the whole must be compared", res.Failures, err)
	}
	if diff := cmp.Diff([]string{"y", short}, res.Answer.Responses); diff != "" {
		t.Errorf("responses (-want +got):\n%s", diff)
	}

	s = scenario(t, "  status: 500\n  body: \".\"\n")
	res, err = Run(t.Context(), gateway(t, 500, long), s)
	if err != nil || !res.Passed {
		t.Fatalf("%v, %v: the whole must be compared", res.Failures, err)
	}
	if diff := cmp.Diff(short, res.Answer.Body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestRunSendsTheRequest(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("Content-Type") + " " + string(body)
		io.WriteString(w, answers(t, "x"))
	}))
	defer srv.Close()
	res, err := Run(t.Context(), Gateway{URL: srv.URL, Client: srv.Client()}, scenario(t, "  count: 1\n"))
	if err != nil || !res.Passed {
		t.Fatalf("%+v, %v", res, err)
	}
	contentType, body, _ := strings.Cut(<-got, " ")
	if contentType != "application/json" {
		t.Errorf("content type %q", contentType)
	}
	var sent map[string]any
	if err := json.Unmarshal([]byte(body), &sent); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type":          "countRequest",
		"user":          map[string]any{"id": "7", "userName": "ann.lee@example.org"},
		"dataProviders": []any{"NORTH"},
		"data_request":  map[string]any{"query": "SELECT '<&>'"},
	}
	if diff := cmp.Diff(want, sent); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestRunWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer srv.Close()
	defer close(release)
	platform := Gateway{URL: srv.URL, Client: srv.Client()}

	s := scenario(t, "  count: 1\n")
	s.Timeout = 50 * time.Millisecond
	res, err := Run(t.Context(), platform, s)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"s.yaml: no answer within 50ms"}; res.Passed || !cmp.Equal(res.Failures, want) {
		t.Errorf("result = %+v, want the failures %q", res, want)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(cancelled, platform, s); !errors.Is(err, context.Canceled) {
		t.Errorf("error of a run broken off = %v", err)
	}

	gone := httptest.NewServer(nil)
	gone.Close()
	res, err = Run(t.Context(), Gateway{URL: gone.URL}, scenario(t, "  count: 1\n"))
	if err != nil || res.Passed || len(res.Failures) != 1 || !strings.Contains(res.Failures[0], "connection refused") {
		t.Errorf("no gateway: %+v, %v", res, err)
	}
}
