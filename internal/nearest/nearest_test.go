package nearest

import "testing"

func TestWord(t *testing.T) {
	t.Parallel()
	fields := []string{"name", "weight", "allowedArchetypes", "sql-query", "sql-algorithm"}
	for _, c := range []struct{ word, want string }{
		{"nmae", "name"},            // swapped
		{"weigth", "weight"},        // swapped
		{"NAME", "name"},            // case
		{"archetypes", fields[2]},   // a part
		{"query", "sql-query"},      // a part
		{"sql-querry", "sql-query"}, // surplus
		{"date", ""},                // two of four characters differ
		{"description", ""},         //
		{"sq", ""},                  // too short to be a part
		{"", ""},                    //
		{"sql-algoritm", fields[4]}, // missing
		{"sql-graph", ""},           // another service, not a slip
		{"displayName", ""},         // a valid word is a part of it, not the reverse
		{"x", ""},                   //
		{"allowedArchetype", fields[2]},
	} {
		if got := Word(c.word, fields); got != c.want {
			t.Errorf("Word(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}
