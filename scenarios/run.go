package scenarios

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Platform is what a scenario is played against.
type Platform interface {
	// Do sends one request and returns the answer, whatever its HTTP status; an error means that there was none.
	// It must send the request once only, and return soon after ctx is done.
	Do(ctx context.Context, r Request) (Answer, error)
}

// Result is one run of a scenario.
type Result struct {
	Name     string   `json:"name"`
	Passed   bool     `json:"passed"`
	Seconds  float64  `json:"seconds"`            // from sending the request to the whole answer
	Answer   Answer   `json:"answer"`             // shortened where it is long: [Run] has compared the whole
	Failures []string `json:"failures,omitempty"` // where in the scenario, what was expected, what came
	Trace    string   `json:"trace,omitempty"`    // id of the request's trace, of a run that failed, where the platform's spans are seen
}

// Run sends the scenario's request and compares the answer. What the platform does wrong, not answering included,
// is in the result; the error is for a run that was broken off because ctx is done.
func Run(ctx context.Context, p Platform, s *Scenario) (Result, error) {
	res := Result{Name: s.Name}
	limited, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	start := time.Now()
	answer, err := p.Do(limited, s.Request)
	res.Seconds = time.Since(start).Seconds()
	res.Answer = answer.shortened()
	switch {
	case ctx.Err() != nil:
		return res, fmt.Errorf("run scenario %q: %w", s.Name, ctx.Err())
	case errors.Is(limited.Err(), context.DeadlineExceeded):
		res.Failures = []string{fmt.Sprintf("%s: no answer within %s", s.File, s.Timeout)}
	case err != nil:
		res.Failures = []string{fmt.Sprintf("%s: %v", s.File, err)}
	default:
		res.Failures = s.Expect.compare(answer)
	}
	res.Passed = len(res.Failures) == 0
	return res, nil
}

// compare returns in what the answer differs.
func (e Expect) compare(a Answer) []string {
	here := e.place.place()
	if a.Status != e.Status {
		return []string{fmt.Sprintf("%s: want status %d, got %d %s", here, e.Status, a.Status, clip(a.said()))}
	}
	var failures []string
	if e.Body != "" && !strings.Contains(a.said(), e.Body) {
		failures = append(failures, fmt.Sprintf("%s: want an answer with %q, got %s", here, e.Body, clip(a.said())))
	}
	listed := e.Count >= 0 || len(e.Responses) > 0
	if !listed && (e.Status != 200 || e.Body != "") {
		return failures // an answer of another kind was asked for, and nothing else
	}
	switch n := len(a.Responses); {
	case a.Responses == nil:
		return append(failures, fmt.Sprintf("%s: the answer has no list of responses: %s", here, clip(a.said())))
	case e.Count < 0 && n == 0:
		failures = append(failures, fmt.Sprintf("%s: want a response, got none", here))
	case e.Count >= 0 && n != e.Count:
		failures = append(failures, fmt.Sprintf("%s: want %d responses, got %d", here, e.Count, n))
	}
	return append(failures, e.compareResponses(a.Responses)...)
}

func (a Answer) said() string {
	if a.Body != "" || a.Responses == nil {
		return a.Body
	}
	return strings.Join(a.Responses, "\n")
}

// compareResponses finds for each expectation a response of its own, whatever the order of arrival. An expectation
// without one is explained by the response that comes closest to it.
func (e Expect) compareResponses(got []string) []string {
	diffs := make([][][]string, len(e.Responses)) // by expectation, then response
	for i, want := range e.Responses {
		diffs[i] = make([][]string, len(got))
		for j, g := range got {
			diffs[i][j] = want.match(g)
		}
	}
	takenBy := make([]int, len(got)) // the expectation that a response serves, or -1
	for j := range takenBy {
		takenBy[j] = -1
	}
	var unmet []int
	for i := range e.Responses {
		if !assign(i, diffs, takenBy, make([]bool, len(got))) {
			unmet = append(unmet, i)
		}
	}

	var failures []string
	for _, i := range unmet {
		closest := -1
		for j := range got {
			if takenBy[j] < 0 && (closest < 0 || len(diffs[i][j]) < len(diffs[i][closest])) {
				closest = j
			}
		}
		if closest < 0 {
			failures = append(failures, fmt.Sprintf("%s: no response is left for this", e.Responses[i].place.place()))
			continue
		}
		failures = append(failures, diffs[i][closest]...)
		takenBy[closest] = i
	}
	for j, g := range got {
		if g == "" && takenBy[j] < 0 {
			failures = append(failures, fmt.Sprintf("%s: response %d is empty: a service failed or took too long", e.place.place(), j+1))
		}
	}
	return failures
}

// assign gives expectation i a response that matches it, moving earlier ones to others where that is needed
// (augmenting paths: a loose expectation must not take the only response that a strict one accepts).
func assign(i int, diffs [][][]string, takenBy []int, seen []bool) bool {
	for j := range takenBy {
		if seen[j] || len(diffs[i][j]) > 0 {
			continue
		}
		seen[j] = true
		if takenBy[j] < 0 || assign(takenBy[j], diffs, takenBy, seen) {
			takenBy[j] = i
			return true
		}
	}
	return false
}
