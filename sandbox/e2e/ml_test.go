package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// The ml-* services become a part of the running platform, and answer with a table of the last of them, which is Python,
// with and without the optional ones; then they are no part of it any more.
func TestMLServices(t *testing.T) {
	register := func(ctx context.Context, how string) {
		t.Helper()
		script := filepath.Join(workspace, "configuration", "ml", "register.py")
		if out, err := exec.CommandContext(ctx, "python3", script, how).CombinedOutput(); err != nil {
			t.Fatalf("register.py %s: %v\n%s", how, err, out)
		}
	}
	before := files(t)
	t.Cleanup(func() {
		register(context.Background(), "off")
		if _, err := dynsandbox(context.Background(), "wait", "--for=reloaded"); err != nil {
			t.Error(err)
		}
		after := files(t)
		for path, content := range before {
			if after[path] != content {
				t.Errorf("%s isn't as it was before", path)
			}
		}
		if len(after) != len(before) {
			t.Errorf("%d files before, %d after", len(before), len(after))
		}
	})
	began := time.Now()
	register(t.Context(), "on")
	must(t, "wait", "--for=reloaded")
	t.Logf("in the platform after %.0f s", time.Since(began).Seconds())
	replayAll(t)

	for name, options := range map[string]map[string]bool{
		"synthetic":               {"synthetic-dataset-generation": true},
		"private":                 {"differential-privacy": true},
		"synthetic, then private": {"synthetic-dataset-generation": true, "differential-privacy": true},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := postRequest(t, "ml", map[string]any{"type": "mlRequest", "options": options}, []string{"VU"})
			var answer struct{ Responses []string }
			if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || len(answer.Responses) != 1 {
				t.Fatalf("%d, %v: %s", status, err, body)
			}
			var rows [][]string
			if err := json.Unmarshal([]byte(answer.Responses[0]), &rows); err != nil || len(rows) != 6 || rows[0][1] != "avg_rmse" {
				t.Fatalf("%v: %s", err, answer.Responses[0])
			}
			if rmse, err := strconv.ParseFloat(rows[1][1], 64); err != nil || rmse <= 0 || rmse > 1.5e6 {
				t.Errorf("avg_rmse %s", rows[1][1])
			}
		})
	}
}
