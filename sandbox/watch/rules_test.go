package watch

import (
	"os"
	"path"
	"path/filepath"
	"testing"
)

// TestRules: which files of a tree are looked at, given its ignore files.
func TestRules(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string // ignore files
		rel   string
		want  bool // is it watched?
	}{
		{"a source", nil, "go/main.go", true},
		{"a hidden file", nil, "go/.env", true},
		{"a hidden folder", nil, "go/.idea/x.xml", false},
		{"git's folder", nil, "go/.git/index", false},
		{"a cache", nil, "python/q/__pycache__/main.pyc", false},
		{"modules of node", nil, "python/ui/node_modules/x/index.js", false},
		{"an editor's file", nil, "go/main.go~", false},
		{"outside the folders", nil, "docs/x.md", false},
		{"gitignore of the root", map[string]string{".gitignore": "*.pb.go\n"}, "go/pkg/x.pb.go", false},
		{"gitignore, anchored", map[string]string{"go/.gitignore": "/bin/\n"}, "go/bin/agent", false},
		{"gitignore, anchored elsewhere", map[string]string{"go/.gitignore": "/bin/\n"}, "go/cmd/bin/agent.go", true},
		{"gitignore, taken back", map[string]string{"go/.gitignore": "*.csv\n!keep.csv\n"}, "go/keep.csv", true},
		{"gitignore, taken back by a nested one", map[string]string{".gitignore": "*.csv\n", "python/q/.gitignore": "!*.csv\n"}, "python/q/a.csv", true},
		{"gitignore, nested one ends at its folder", map[string]string{"python/q/.gitignore": "*.csv\n"}, "python/r/a.csv", true},
		{"gitignore, not below an excluded folder", map[string]string{"go/.gitignore": "gen/\n!gen/x.go\n"}, "go/gen/x.go", false},
		{"gitignore, only folders", map[string]string{"go/.gitignore": "build/\n"}, "go/build", true},
		{"gitignore that names a listed folder", map[string]string{".gitignore": "python/\n"}, "python/main.py", true},
		{"dockerignore of a service", map[string]string{"python/q/.dockerignore": "# tests\ntests\n**/*.md\n"}, "python/q/tests/test_x.py", false},
		{"dockerignore, any depth", map[string]string{"python/q/.dockerignore": "**/*.md\n"}, "python/q/a/b.md", false},
		{"dockerignore, not any depth", map[string]string{"python/q/.dockerignore": "*.md\n"}, "python/q/a/b.md", true},
		{"dockerignore, other service", map[string]string{"python/q/.dockerignore": "tests\n"}, "python/r/tests/test_x.py", true},
		{"dockerignore, all but", map[string]string{"python/q/.dockerignore": "*\n!src/*.py\n"}, "python/q/src/main.py", true},
		{"dockerignore, all but, the rest", map[string]string{"python/q/.dockerignore": "*\n!src/*.py\n"}, "python/q/src/x.csv", false},
		{"dockerignore, the Dockerfile", map[string]string{"python/q/.dockerignore": "*\n"}, "python/q/Dockerfile", true},
		{"dockerignore, itself", map[string]string{"python/q/.dockerignore": "*\n"}, "python/q/.dockerignore", true},
		{"dockerignore, wrong", map[string]string{"python/q/.dockerignore": "[\n"}, "python/q/main.py", true},
		{"dockerignore of the root", map[string]string{".dockerignore": "go\n"}, "go/main.go", true},
		{"the caller's rule", nil, "go/testdata/x.json", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ws := newWorkspace(t)
			for file, text := range tt.files {
				ws.write(file, text)
			}
			if _, given := tt.files[tt.rel]; !given {
				ws.write(tt.rel, "")
			}
			if got := watches(t, ws.root, tt.rel); got != tt.want {
				t.Errorf("%s is watched: %v", tt.rel, got)
			}
		})
	}
}

// watches reports whether a file of the workspace is in a watcher's first snapshot.
func watches(t *testing.T, root, rel string) bool {
	t.Helper()
	w, err := newWatcher(Config{Root: root, Folders: []string{"go", "python", "go/cmd"}, Ignore: func(rel string, dir bool) bool {
		return dir && path.Base(rel) == "testdata"
	}}, defaultTuning)
	if err != nil {
		t.Fatal(err)
	}
	defer w.end()
	at := w.folders[path.Dir(rel)]
	if at == nil {
		return false
	}
	_, ok := at.files[path.Base(rel)]
	return ok
}

func TestGitignoreAboveTheRoot(t *testing.T) {
	tests := []struct {
		name string
		git  string // the folder that is a repository
		text string // of repo/.gitignore
		want bool
	}{
		{"counts", "repo", "*.log\n", false},
		{"anchored, seen from there", "repo", "/sub/ws/go/*.log\n", false},
		{"anchored elsewhere", "repo", "/go/*.log\n", true},
		{"not when it excludes the root", "repo", "*.log\n/sub/**\n", true},
		{"not when it excludes a folder above the root", "repo", "*.log\nsub/\n", true},
		{"not beyond the repository", "repo/sub", "*.log\n", true},
		{"not without a repository", "", "*.log\n", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			root := filepath.Join(dir, "repo", "sub", "ws")
			ws := &workspace{t: t, root: root}
			ws.write("go/x.log", "")
			ws.check(os.WriteFile(filepath.Join(dir, "repo", ".gitignore"), []byte(tt.text), 0o644))
			if tt.git != "" {
				ws.check(os.Mkdir(filepath.Join(dir, filepath.FromSlash(tt.git), ".git"), 0o755))
			}
			if got := watches(t, root, "go/x.log"); got != tt.want {
				t.Errorf("watched: %v", got)
			}
		})
	}
}

func TestRulesChangeWhileWatching(t *testing.T) {
	w := newWorkspace(t, "go/gen/x.go", "go/x.csv", "go/y.txt", "python/q/tests/t.py")
	w.write(".gitignore", "*.txt\n")
	w.watch(Config{}, defaultTuning)
	w.exactly(func() { w.write("go/y.txt", "ignored") })
	w.exactly(func() { w.write("go/.gitignore", "gen/\n*.csv\n") }, "go/.gitignore")
	w.exactly(func() { w.write("go/gen/x.go", "ignored"); w.write("go/x.csv", "ignored"); w.remove("go/gen") })
	w.exactly(func() { w.write("go/gen/sub/x.go", "ignored") })
	w.exactly(func() { w.remove("go/.gitignore") }, "go/.gitignore", "go/gen/sub/x.go", "go/x.csv")
	w.exactly(func() { w.write("go/gen/sub/x.go", "watched again") }, "go/gen/sub/x.go")
	w.exactly(func() { w.write(".gitignore", "") }, "go/y.txt")
	w.exactly(func() { w.write("python/q/.dockerignore", "tests\n") }, "python/q/.dockerignore")
	w.exactly(func() { w.write("python/q/tests/t.py", "ignored") })
}
