package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// A sensitive column is refused unless a service that anonymises it follows at the same party, in each archetype.
func TestSensitiveColumns(t *testing.T) {
	const (
		refused = "Personen.Gebdat is sensitive"
		hidden  = "a sensitive column can only be selected"
	)
	for name, tt := range map[string]struct {
		query     string
		providers []string
		options   map[string]bool
		refused   string // "" when there must be an answer
	}{
		"no anonymiser":           {"SELECT Gebdat FROM Personen LIMIT 5", []string{"UVA"}, nil, refused},
		"all columns":             {"SELECT * FROM Personen LIMIT 5", []string{"UVA"}, nil, refused},
		"anonymised":              {"SELECT * FROM Personen LIMIT 5", []string{"UVA"}, map[string]bool{"anonymize": true}, ""},
		"renamed":                 {"SELECT Gebdat AS Peildat FROM Personen LIMIT 5", []string{"UVA"}, map[string]bool{"anonymize": true}, hidden},
		"third party":             {"SELECT Gebdat FROM Personen LIMIT 5", []string{"UVA", "VU"}, map[string]bool{"aggregate": true}, refused},
		"third party, anonymised": {"SELECT Gebdat FROM Personen LIMIT 5", []string{"UVA", "VU"}, map[string]bool{"aggregate": true, "anonymize": true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := postQuery(t, "sensitive", tt.query, "", tt.providers, tt.options)
			if tt.refused != "" {
				if status == http.StatusOK || !strings.Contains(string(body), tt.refused) {
					t.Errorf("%d: %s", status, body)
				}
				return
			}
			var answer struct{ Responses []string }
			if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || len(answer.Responses) != 1 {
				t.Fatalf("%d, %v: %s", status, err, body)
			}
			var rows [][]string
			if err := json.Unmarshal([]byte(answer.Responses[0]), &rows); err != nil || len(rows) < 6 {
				t.Fatalf("%v: %s", err, answer.Responses[0])
			}
			for i, column := range rows[0] {
				if column != "Gebdat" {
					continue
				}
				for _, row := range rows[1:] {
					if len(row[i]) != len("1962") {
						t.Errorf("Gebdat %q is no year", row[i])
					}
				}
			}
		})
	}
}
