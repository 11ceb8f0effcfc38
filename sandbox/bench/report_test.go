package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// three are a row with a value, one that can't be measured yet, and one that failed.
func three() report {
	r := row{name: "speed", what: "ours ÷ theirs", compare: ratio, unit: "s", goal: atMost(0.5)}
	rep := newReport(3)
	rep.Rows = []result{
		r.judge(samples{ours: []float64{1, 2, 3}, peer: []float64{4, 4, 4}, steps: map[string][]float64{"half": {0.5, 0.5, 0.5}}, note: "on a fine day"}, nil),
		row{name: "later", compare: alone, unit: "s", goal: atMost(1)}.judge(samples{}, notMeasured("there is none yet")),
		row{name: "broken", compare: alone, unit: "s", goal: atLeast(1)}.judge(samples{}, errors.New("it fell over\nand more")),
	}
	return rep
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := three().writeTable(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	got := map[string][]string{}
	for _, line := range lines[3:] {
		f := strings.Fields(line)
		got[f[0]] = f[1:]
	}
	want := map[string][]string{
		"speed":  strings.Fields("0.5× [0.25 0.75] 2 s 4 s ≤ 0.5× yes"),
		"later":  strings.Fields("not measured: there is none yet ≤ 1 s"),
		"broken": strings.Fields("failed: it fell over ≥ 1 s"),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant the cells %v", b.String(), want)
	}
}

func TestFileHoldsAllSamples(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "bench.json")
	rep := three()
	if err := rep.writeFile(path); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, rep) {
		t.Errorf("got %+v, want %+v", back, rep)
	}
	if !strings.Contains(string(b), `"notMeasured": "there is none yet"`) {
		t.Errorf("the file doesn't say that a row is not measured:\n%s", b)
	}
}

// Only a row that couldn't be measured is a failure.
func TestFailed(t *testing.T) {
	rep := three()
	if !rep.failed() {
		t.Error("a row failed, and the report didn't")
	}
	rep.Rows = rep.Rows[:2]
	missed := false
	rep.Rows[0].Met = &missed
	if rep.failed() {
		t.Error("a goal that is missed, or a row that can't be measured yet, is a failure")
	}
}

func TestTextTellsAllSamples(t *testing.T) {
	text := three().Rows[0].text()
	for _, part := range []string{"1 2 3", "4 4 4", "0.5×", "half after 0.5 s", "on a fine day"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{0.01: "0.0100", 0.1234: "0.123", 12.345: "12.3", -0.5: "-0.5", 1234.5: "1234", 0: "0.0000"} {
		if got := number(x); got != want {
			t.Errorf("%v: %s, want %s", x, got, want)
		}
	}
}
