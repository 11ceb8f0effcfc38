package scaffold

import (
	"testing"

	"github.com/dynsandbox/dynsandbox/fixtures"
)

func TestQueryReadsNothingSensitive(t *testing.T) {
	t.Parallel()
	set := &fixtures.Set{Datasets: []fixtures.Dataset{
		{Name: "open", Tables: []string{"Streets", "Persons"}, SensitiveColumns: map[string][]string{"Persons": {"born"}}},
		{Name: "closed", Tables: []string{"Persons"}, SensitiveColumns: map[string][]string{"Persons": {"born"}}},
	}}
	for dataset, want := range map[string]string{
		"open": "SELECT * FROM Streets LIMIT 10", "closed": "SELECT 1 AS example FROM Persons LIMIT 10", "none": "",
	} {
		if got := query(set, []string{dataset}); got != want {
			t.Errorf("%s: %q, want %q", dataset, got, want)
		}
	}
}
