package main

import (
	"errors"
	"fmt"
	"regexp"
	"testing"
)

// Each sample is compared with the peer's beside it, and the value is the median of that: not the quotient of medians.
func TestJudgeComparesPairs(t *testing.T) {
	s := samples{ours: []float64{1, 10, 2}, peer: []float64{10, 20, 10}}
	for _, c := range []struct {
		compare comparison
		goal    goal
		value   float64
		met     bool
		unit    string
	}{
		{ratio, atMost(0.2), 0.2, true, "×"},
		{ratio, atMost(0.1), 0.2, false, "×"},
		{inverse, atLeast(5), 5, true, "×"},
		{inverse, atLeast(6), 5, false, "×"},
		{difference, atMost(-8), -9, true, "s"},
		{difference, atMost(-9.5), -9, false, "s"},
		{alone, atMost(2), 2, true, "s"},
	} {
		res := row{compare: c.compare, unit: "s", goal: c.goal}.judge(s, nil)
		if res.Error != "" {
			t.Fatalf("%s: %s", c.compare, res.Error)
		}
		if *res.Value != c.value || *res.Met != c.met || res.Unit != c.unit {
			t.Errorf("%s, goal %s: value %v %s, met %v", c.compare, res.Goal, *res.Value, res.Unit, *res.Met)
		}
	}
}

func TestJudgeWithoutAValue(t *testing.T) {
	r := row{name: "x", compare: ratio, unit: "s", goal: atMost(1)}
	if res := r.judge(samples{}, fmt.Errorf("measure: %w", notMeasured("there is none yet"))); res.NotMeasured != "there is none yet" || res.Error != "" || res.Value != nil || res.Met != nil {
		t.Errorf("not measured: %+v", res)
	}
	for name, res := range map[string]result{
		"failed":        r.judge(samples{ours: []float64{1}, peer: []float64{1}}, errors.New("broken")),
		"no samples":    r.judge(samples{}, nil),
		"peer's missed": r.judge(samples{ours: []float64{1, 2}, peer: []float64{1}}, nil),
	} {
		if res.Error == "" || res.NotMeasured != "" || res.Value != nil || res.Met != nil {
			t.Errorf("%s: %+v", name, res)
		}
	}
}

// Names are what -run and docs/performance.md go by.
func TestRows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.name] {
			t.Errorf("two rows %s", r.name)
		}
		seen[r.name] = true
		if r.what == "" || r.unit == "" || r.compare == "" || r.measure == nil {
			t.Errorf("row %s is incomplete", r.name)
		}
	}
	if got := matching(rows, regexp.MustCompile(`^reload-go$`)); len(got) != 1 || got[0].name != "reload-go" {
		t.Errorf("matching ^reload-go$: %d rows", len(got))
	}
}
