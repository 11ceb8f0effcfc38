package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// row is one line of the table.
type row struct {
	name    string
	what    string
	compare comparison
	unit    string // of the samples, and of the value unless that is a ratio
	goal    goal
	measure func(ctx context.Context, b *bench, n int) (samples, error)
}

// samples are what a row was measured to be, and its peer. Sample i of the one was taken right beside sample i of the
// other, so that a machine that slows down does so for both.
type samples struct {
	ours, peer []float64
	steps      map[string][]float64 // seconds from the beginning of each of ours to what happened on its way
	beside     map[string][]float64 // figures of other peers, which the value doesn't depend on
	note       string               // what a reader must know of how this run measured, for people
}

// addSteps notes when things happened in the sample that began with t.
func (s *samples) addSteps(t timer, happened map[string]time.Time) {
	if s.steps == nil {
		s.steps = map[string][]float64{}
	}
	for step, at := range happened {
		s.steps[step] = append(s.steps[step], at.Sub(t.began).Seconds())
	}
}

// comparison says what of a sample and its peer's is the row's value.
type comparison string

const (
	alone      comparison = "ours"
	ratio      comparison = "ours ÷ peer"
	inverse    comparison = "peer ÷ ours"
	difference comparison = "ours − peer"
)

// goal is what the median of the values should be.
type goal struct {
	limit   float64
	atLeast bool // otherwise at most
}

func atMost(limit float64) goal  { return goal{limit: limit} }
func atLeast(limit float64) goal { return goal{limit: limit, atLeast: true} }

func (g goal) met(value float64) bool {
	if g.atLeast {
		return value >= g.limit
	}
	return value <= g.limit
}

// notMeasured is the error of a row that can't be measured yet, with the reason. It is no failure.
type notMeasured string

func (n notMeasured) Error() string { return string(n) }

// values are the row's values, one a sample.
func (r row) values(s samples) ([]float64, error) {
	if len(s.ours) == 0 {
		return nil, errors.New("no samples")
	}
	if r.compare == alone {
		return s.ours, nil
	}
	if len(s.ours) != len(s.peer) {
		return nil, fmt.Errorf("%d samples, and %d of the peer", len(s.ours), len(s.peer))
	}
	values := make([]float64, len(s.ours))
	for i, ours := range s.ours {
		peer := s.peer[i]
		switch r.compare {
		case ratio:
			values[i] = ours / peer
		case inverse:
			values[i] = peer / ours
		case difference:
			values[i] = ours - peer
		}
	}
	return values, nil
}

// valueUnit is the unit of the row's value.
func (r row) valueUnit() string {
	if r.compare == ratio || r.compare == inverse {
		return "×"
	}
	return r.unit
}

func (r row) goalText() string {
	sign := "≤"
	if r.goal.atLeast {
		sign = "≥"
	}
	return sign + " " + withUnit(strconv.FormatFloat(r.goal.limit, 'g', -1, 64), r.valueUnit())
}

func withUnit(number, unit string) string {
	if unit == "×" {
		return number + unit
	}
	return number + " " + unit
}

// judge turns what was measured into the row's result.
func (r row) judge(s samples, err error) result {
	res := result{Name: r.name, What: r.what, Compare: r.compare, SampleUnit: r.unit, Unit: r.valueUnit(), Goal: r.goalText(),
		Ours: s.ours, Peer: s.peer, Steps: s.steps, Beside: s.beside, Note: s.note}
	if why := notMeasured(""); errors.As(err, &why) {
		res.NotMeasured = string(why)
		return res
	}
	var values []float64
	if err == nil {
		values, err = r.values(s)
	}
	if err != nil {
		res.Error = err.Error()
		return res
	}
	low, high := spread(values)
	value := median(values)
	met := r.goal.met(value)
	res.Value, res.Low, res.High, res.Met = &value, &low, &high, &met
	return res
}

// matching returns the rows whose names match.
func matching(all []row, pattern *regexp.Regexp) []row {
	var out []row
	for _, r := range all {
		if pattern.MatchString(r.name) {
			out = append(out, r)
		}
	}
	return out
}
