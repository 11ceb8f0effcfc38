package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// A party's folder of data sets is what its services read, in Pods that an agent makes too; a change of a file is there
// with the next request, and without the folder what is in the image is read again.
func TestDatasets(t *testing.T) {
	dir := filepath.Join(workspace, "datasets", "UVA")
	write := func(content string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		// As editors save: another file takes the name.
		file := filepath.Join(dir, "Personen_UVA.csv")
		if err := os.WriteFile(file+".new", []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	up := func(ctx context.Context) {
		t.Helper()
		var s upSummary
		if err := upInto(ctx, &s, "--no-scenario"); err != nil {
			t.Fatal(err)
		}
	}
	persons := func(party, want string) {
		t.Helper()
		status, body := postQuery(t, "datasets", "SELECT count(*) AS n FROM Personen", "", []string{party}, nil)
		var answer struct{ Responses []string }
		if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || len(answer.Responses) != 1 {
			t.Fatalf("%s: %d, %v: %s", party, status, err, body)
		}
		var rows [][]string
		if err := json.Unmarshal([]byte(answer.Responses[0]), &rows); err != nil || len(rows) != 2 || rows[1][0] != want {
			t.Errorf("%s: %s, want %s persons", party, answer.Responses[0], want)
		}
	}
	t.Cleanup(func() {
		if _, err := os.Stat(dir); err == nil { // the test failed before it removed it
			_ = os.RemoveAll(filepath.Dir(dir))
			up(context.Background())
		}
	})

	write("Unieknr;Geslacht\n1;M\n2;V\n")
	up(t.Context())
	persons("UVA", "2")
	persons("VU", "9700") // has no folder
	write("Unieknr;Geslacht\n1;M\n2;V\n3;V\n")
	persons("UVA", "3")

	if err := os.RemoveAll(filepath.Dir(dir)); err != nil {
		t.Fatal(err)
	}
	up(t.Context())
	persons("UVA", "10000") // as in the image
}
