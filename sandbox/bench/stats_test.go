package main

import "testing"

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []float64
		want float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 100}, 3.5},
	} {
		before := c.in[0]
		if got := median(c.in); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.in, got, c.want)
		}
		if c.in[0] != before {
			t.Errorf("median sorted the samples themselves: %v", c.in)
		}
	}
}

func TestSpread(t *testing.T) {
	if low, high := spread([]float64{3, -1, 2}); low != -1 || high != 3 {
		t.Errorf("%v to %v", low, high)
	}
}
