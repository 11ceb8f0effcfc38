package e2e

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files are all files of the workspace that new may touch, with their contents.
func files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, dir := range []string{"charts", "configuration", "scenarios", "python", "go/cmd", "go/Makefile"} {
		err := filepath.WalkDir(filepath.Join(workspace, dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := os.ReadFile(path)
			all[path] = string(b)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// What is new works as soon as the command returns, and is gone when it is removed.
func TestNewIsLive(t *testing.T) {
	before := files(t)
	for _, part := range []struct {
		kind, name string
		flags      []string
	}{
		{"microservice", "double-check", []string{"--after", "sql-query"}},
		{"microservice", "mask", []string{"--lang", "go", "--before", "sql-algorithm", "--optional", "mask"}},
		{"archetype", "apart", nil},
		{"archetype", "shared", []string{"--compute-provider", "other"}},
		{"agent", "HVA", nil},
		{"agent", "TNO", []string{"--third-party"}},
	} {
		name := part.name
		t.Run(name, func(t *testing.T) {
			t.Cleanup(func() { // where the test fails before it does so itself
				if _, err := os.Stat(filepath.Join(workspace, "scenarios", strings.ToLower(name)+".yaml")); err == nil {
					if _, err := dynsandbox(context.Background(), "new", part.kind, name, "--rm"); err != nil {
						t.Error(err)
					}
				}
			})
			var report struct {
				Live *struct {
					Seconds  float64
					Scenario *replayReport
				}
			}
			mustJSON(t, &report, append([]string{"new", part.kind, name}, part.flags...)...)
			if report.Live == nil || report.Live.Scenario == nil || !report.Live.Scenario.Passed {
				t.Fatalf("it isn't live, or its scenario failed: %+v", report.Live)
			}
			t.Logf("in the platform after %.1f s", report.Live.Seconds)
			replayAll(t) // what was there works with it
			var gone struct{ Notes []string }
			mustJSON(t, &gone, "new", part.kind, name, "--rm")
			if namespace := strings.ToLower(name); part.kind == "agent" {
				stays := "namespace " + namespace + " stays in the cluster, "
				if len(gone.Notes) != 1 || !strings.HasPrefix(gone.Notes[0], stays) {
					t.Errorf("notes %q, want one %q...", gone.Notes, stays)
				}
				left := must(t, "kubectl", "get", "deployments,services,secrets,roles,rolebindings", "-n", namespace, "-o", "name")
				if text := strings.TrimSpace(left); text != "" {
					t.Errorf("still in its namespace: %s", text)
				}
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
	}
	replayAll(t)
}
