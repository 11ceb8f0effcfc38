package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A run that is killed keeps what it has measured: a row begins with all earlier ones in the file.
func TestFileIsWrittenAfterEachRow(t *testing.T) {
	out := filepath.Join(t.TempDir(), "bench.json")
	one := row{name: "one", compare: alone, unit: "s", measure: func(context.Context, *bench, int) (samples, error) {
		return samples{ours: []float64{1}}, nil
	}}
	two := row{name: "two", compare: alone, unit: "s", measure: func(context.Context, *bench, int) (samples, error) {
		if b, err := os.ReadFile(out); err != nil || !strings.Contains(string(b), `"name": "one"`) {
			t.Errorf("the file has no row one: %s (%v)", b, err)
		}
		return samples{ours: []float64{2}}, nil
	}}
	rep, err := measureAll(context.Background(), nil, []row{one, two}, settings{n: 1, out: out, limit: time.Hour}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if len(rep.Rows) != 2 || rep.Rows[1].Value == nil || *rep.Rows[1].Value != 2 {
		t.Errorf("got %+v", rep.Rows)
	}
}

func TestNoRowBeginsAfterTheLimit(t *testing.T) {
	late := row{name: "late", compare: alone, unit: "s", measure: func(context.Context, *bench, int) (samples, error) {
		t.Error("a row was begun after the limit")
		return samples{}, nil
	}}
	rep, err := measureAll(context.Background(), nil, []row{late}, settings{n: 1, out: filepath.Join(t.TempDir(), "bench.json"), limit: 1}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := rep.Rows[0].NotMeasured; got != "out of time" || rep.failed() {
		t.Errorf("not measured: %q, failed: %v", got, rep.failed())
	}
}
