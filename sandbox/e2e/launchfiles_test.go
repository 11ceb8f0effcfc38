package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A folder with the workspace's launch files, one of them changed.
func changedFiles(t *testing.T, file, old, new string) string {
	t.Helper()
	dir := t.TempDir()
	from := filepath.Join(root, "platform", "configuration", "etcd_launch_files")
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() == file {
			changed := strings.Replace(string(b), old, new, 1)
			if changed == string(b) {
				t.Fatalf("%s has no %q", file, old)
			}
			b = []byte(changed)
		}
		if err := os.WriteFile(filepath.Join(dir, e.Name()), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOwnLaunchFilesPassStrict(t *testing.T) { must(t, "fixtures", "validate", "--strict") }

func TestBrokenLaunchFilesAreRefusedAndHarmNothing(t *testing.T) {
	for name, tc := range map[string]struct{ file, old, new, says string }{
		"syntax":          {"archetype.json", "{", "{,", `archetype\.json:\d+:\d+: `},
		"wrong type":      {"archetype.json", `"weight": 100`, `"weight": "heavy"`, `archetype\.json:\d+:\d+: `},
		"unknown service": {"requestType.json", `"sql-query"`, `"sql-qeury"`, `requestType\.json:\d+:\d+: .*sql-query`},
		"cycle":           {"microservices.json", `"allowedOutputs": []`, `"allowedOutputs": ["sql-query"]`, `microservices\.json:\d+:\d+: .*sql-query`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := changedFiles(t, tc.file, tc.old, tc.new)
			out, err := dynsandbox(t.Context(), "fixtures", "validate", dir, "-o", "json")
			if exitCode(err) != 2 {
				t.Fatalf("validate ends with %v", err)
			}
			var report struct{ Valid bool }
			if err := json.Unmarshal(out, &report); err != nil || report.Valid {
				t.Errorf("validate -o json: %v, %s", err, out)
			}
			out, err = dynsandbox(t.Context(), "fixtures", "apply", dir)
			if err == nil {
				t.Fatalf("apply took it: %s", out)
			}
			if !regexp.MustCompile(tc.says).MatchString(err.Error()) {
				t.Errorf("the error doesn't say %s:\n%v", tc.says, err)
			}
		})
	}
	replayAll(t)
	if out := must(t, "fixtures", "diff"); !strings.Contains(out, "no changes") {
		t.Errorf("the config store isn't as it was:\n%s", out)
	}
}

func TestApplyAndBack(t *testing.T) {
	dir := changedFiles(t, "archetype.json", `"weight": 100`, `"weight": 150`)
	if out := must(t, "fixtures", "diff", dir); !strings.Contains(out, "1 changed") {
		t.Errorf("diff: %s", out)
	}
	must(t, "fixtures", "apply", dir)
	if out := must(t, "fixtures", "diff", dir); !strings.Contains(out, "no changes") {
		t.Errorf("after apply: %s", out)
	}
	must(t, "fixtures", "apply")
	if out := must(t, "fixtures", "diff"); !strings.Contains(out, "no changes") {
		t.Errorf("after applying the workspace's own again: %s", out)
	}
}
