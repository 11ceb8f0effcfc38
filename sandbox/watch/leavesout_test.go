package watch

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLeavesOut(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for file, text := range map[string]string{".gitignore": "*.log\n", "python/a/.dockerignore": "notes\n", ".git/HEAD": ""} {
		path := filepath.Join(root, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]bool{
		"python/a/main.py":           false,
		"charts/agents/values.yaml":  false,
		"python/a/.main.py.swp":      true,
		"go/cmd/agent/out.log":       true,
		"python/a/notes/today.md":    true,
		"python/b/notes/today.md":    false,
		"python/a/__pycache__/m.pyc": true,
	} {
		if got := LeavesOut(root, file); got != want {
			t.Errorf("%s: %v", file, got)
		}
	}
}
