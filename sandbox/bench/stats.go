package main

import "slices"

// median of at least one number; of an even count, the mean of the two in the middle.
func median(xs []float64) float64 {
	sorted := slices.Sorted(slices.Values(xs))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// spread is the least and the greatest of at least one number.
func spread(xs []float64) (low, high float64) { return slices.Min(xs), slices.Max(xs) }
