// Package nearest finds the valid word that somebody most likely meant.
//
// Everything that refuses a name asks it for the suggestion: [Word] is the one function to call.
package nearest

import "strings"

// partLen is how long a word must be before being a part of a valid one counts as near ("archetypes" in
// "allowedArchetypes"): shorter ones are parts of too much.
const partLen = 5

// Word returns the valid word closest to word, or "" when none is close enough to be what was meant.
// Close is one wrong, missing, surplus or swapped character for every three of the word (case ignored),
// or being a part of the valid one. Of equally close words the first wins.
func Word(word string, valid []string) string {
	best, found := "", len([]rune(word))/3
	if found == 0 && word != "" {
		found = 1
	}
	found++ // the first candidate at the limit itself still counts
	low := strings.ToLower(word)
	for _, v := range valid {
		if v == "" {
			continue
		}
		if d := distance(low, strings.ToLower(v)); d < found {
			best, found = v, d
		}
	}
	if best != "" || len(low) < partLen {
		return best
	}
	for _, v := range valid {
		if strings.Contains(strings.ToLower(v), low) {
			return v
		}
	}
	return ""
}

// Hint is Word as a suggestion to print: `did you mean "x"?`, or "" when nothing is near.
func Hint(word string, valid []string) string {
	if w := Word(word, valid); w != "" {
		return `did you mean "` + w + `"?`
	}
	return ""
}

// distance is the optimal string alignment distance: insertions, deletions, substitutions, and swaps of
// neighbours, which are the commonest slip at a keyboard.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, prev := make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(s); i++ {
		row := make([]int, len(t)+1)
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(t)]
}
