package scenarios

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const valid = `version: 1
name: local
description: each computes on its own
timeout: 5s
request:
  type: countRequest
  user: {id: "7", userName: ann.lee@example.org}
  dataProviders: [NORTH, SOUTH]
  data_request:
    type: countRequest
    query: |
      SELECT 1
    options: {aggregate: false}
    limit: 10
expect:
  count: 3
  responses:
    - json: {mean: 11.877}
      tolerance: 0.01
    - text: "done"
`

func TestParse(t *testing.T) {
	t.Parallel()
	s, err := Parse("a.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "local" || s.Description != "each computes on its own" || s.Timeout != 5*time.Second {
		t.Errorf("parsed %+v", s)
	}
	if e := s.Expect; e.Status != 200 || e.Count != 3 || len(e.Responses) != 2 || e.Responses[0].Tolerance != 0.01 || *e.Responses[1].Text != "done" {
		t.Errorf("parsed %+v", e)
	}
	var body any
	if err := json.Unmarshal(s.Request.Body, &body); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type":          "countRequest",
		"user":          map[string]any{"id": "7", "userName": "ann.lee@example.org"},
		"dataProviders": []any{"NORTH", "SOUTH"},
		"data_request": map[string]any{
			"type": "countRequest", "query": "SELECT 1\n", "options": map[string]any{"aggregate": false}, "limit": 10.0,
		},
	}
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

func TestParseDefaults(t *testing.T) {
	t.Parallel()
	text := valid[:strings.Index(valid, "expect:")]
	text = strings.Replace(text, "timeout: 5s\n", "", 1)
	s, err := Parse("a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if s.Timeout != DefaultTimeout || s.Expect.Status != 200 || s.Expect.Count != -1 {
		t.Errorf("defaults: %s, %+v", s.Timeout, s.Expect)
	}
	s, err = Parse("a.yaml", []byte(strings.Replace(valid, "  count: 3\n", "", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if s.Expect.Count != 2 {
		t.Errorf("count without one given: %d, want as many as listed", s.Expect.Count)
	}
}

// In the new text a caret (‸) marks where the problem is.
func TestParseProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, old, new, want string }{
		{"no version", "version: 1\n", "‸", `@: field "version" is missing (write version: 1)`},
		{"other version", "version: 1", "version: ‸2", `@: unknown version: this dynsandbox reads version 1`},
		{"syntax", "name: local", "name: ‸'local", `@: could not find end character of single-quoted text`},
		{"empty file", valid, "‸", `@: file is empty`},
		{"list", valid, "‸- 1", `@: a scenario must be a mapping, not a list`},
		{"second document", valid, valid + "‸---\nversion: 1\n", `@: a second document: a scenario is a file of its own`},
		{"repeated key", "name: local", "name: local\n‸name: x", `@: mapping key "name" already defined at [2:1]`},
		{"anchor", `id: "7"`, `id: ‸&x "7"`, `@: &: anchors, aliases, tags and the like have no place in a scenario (write the value out)`},
		{"near field", "description:", "‸descripton:", `@: unknown field "descripton" in a scenario (did you mean "description"?)`},
		{"unknown field", "description:", "‸colour:", `@: unknown field "colour" in a scenario (known are description, expect, name, request, timeout, version)`},
		{"field of expect", "  count:", "  ‸counts:", `@: unknown field "counts" in expect (did you mean "count"?)`},
		{"field of a response", "tolerance:", "‸tolerence:", `@: unknown field "tolerence" in a response (did you mean "tolerance"?)`},
		{"field of the request", "dataProviders:", "‸dataproviders:", `a.yaml:6:3: field "dataProviders" is missing in request
@: unknown field "dataproviders" in request (did you mean "dataProviders"?)`},
		{"no name", "name: local\n", "", `a.yaml:1:1: field "name" is missing in a scenario`},
		{"name is no string", "name: local", "name: ‸7", `@: the field must be a string, not a number`},
		{"timeout", "timeout: 5s", "timeout: ‸5", `@: a duration must be a string, not a number`},
		{"timeout without unit", "timeout: 5s", `timeout: ‸"5"`, `@: "5" is no duration (for example 90s)`},
		{"user's id", `id: "7"`, `id: ‸7`, `@: id must be a string, not a number (put it in quotes)`},
		{"no user name", `, userName: ann.lee@example.org`, ``, `a.yaml:7:9: field "userName" is missing in user`},
		{"status", "count: 3", "status: ‸ok", `@: the field must be a whole number, not negative`},
		{"count too small", "count: 3", "count: ‸1", `@: count is 1, but 2 responses are listed`},
		{"two forms", "- text: \"done\"", "- ‸text: \"done\"\n      empty: true", `@: a response needs one of json, table, text and empty`},
		{"no form", "- text: \"done\"", "- ‸tolerance: 1", `@: a response needs one of json, table, text and empty`},
		{"not empty", "text: \"done\"", "empty: ‸false", `@: empty: false expects nothing: a response that is empty fails anyway (leave it out)`},
		{"tolerance", "tolerance: 0.01", "tolerance: ‸-1", `@: tolerance must be a number, not negative`},
		{"table", "text: \"done\"", "table: {columns: ‸7}", `@: columns must be a list, not a number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(valid, c.old) != 1 {
				t.Fatalf("%q is not there exactly once", c.old)
			}
			text := strings.Replace(valid, c.old, c.new, 1)
			before, after, found := strings.Cut(text, "‸")
			if found {
				lines := strings.Split(before, "\n")
				place := fmt.Sprintf("a.yaml:%d:%d:", len(lines), len([]rune(lines[len(lines)-1]))+1)
				c.want = strings.Replace(c.want, "@:", place, 1)
			}
			_, err := Parse("a.yaml", []byte(before+after))
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(c.want, err.Error()); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
