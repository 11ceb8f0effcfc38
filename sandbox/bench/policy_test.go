package main

import "testing"

func TestMetric(t *testing.T) {
	const text = "# HELP a_sum of a\na_sum{name=\"x\"} 1\na_sum{name=\"y\"} 2.5e-05\n"
	if got, err := metric(text, `a_sum{name="y"}`); err != nil || got != 2.5e-05 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := metric(text, `a_sum{name="z"}`); err == nil {
		t.Error("a metric that isn't there was found")
	}
}
