package images

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFingerprintTellsSettingsApart(t *testing.T) {
	t.Parallel()
	workspace := writeFiles(t, map[string]string{"go/go.mod": "module x\n"})
	seen := map[string]bool{}
	for _, settings := range [][]string{nil, {"debug=true"}, {"debug=true", "A=1"}, {"debug=true", "A=2"}} {
		f, err := Fingerprint(workspace, settings...)
		if err != nil || seen[f] {
			t.Errorf("settings %q: not told from others (%v)", settings, err)
		}
		seen[f] = true
	}
}

// What a build reads must show in the fingerprint, and what it doesn't read must not: the one would leave stale images
// on the node, the other costs a build for nothing.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	write := func(path, text string) func(*testing.T, string) {
		return func(t *testing.T, workspace string) {
			writeAt(t, filepath.Join(workspace, path), text)
		}
	}
	link := func(to, path string) func(*testing.T, string) {
		return func(t *testing.T, workspace string) {
			if err := os.Symlink(to, filepath.Join(workspace, path)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		change func(*testing.T, string)
		shows  bool
	}{
		"nothing":                      {func(*testing.T, string) {}, false},
		"a Go source":                  {write("go/cmd/agent/main.go", "package main // changed"), true},
		"a Python source":              {write("python/query/main.py", "changed"), true},
		"a message":                    {write("proto-files/a.proto", "changed"), true},
		"the Dockerfile":               {write("python/Dockerfile", "FROM changed"), true},
		"a new file":                   {write("python/query/new.csv", "1"), true},
		"a file in a hidden folder":    {write("python/query/.settings/a.json", "{}"), true},
		"a file in node_modules":       {write("python/query/node_modules/a.js", "1"), true},
		"a Go package named venv":      {write("go/pkg/venv/venv.go", "package venv"), true},
		"a file in a linked folder":    {write("datasets/a.csv", "changed"), true},
		"another folder linked":        {link("../../datasets", "python/query/more"), true},
		"beside a command's service":   {write("rust/lib/lib.rs", "changed"), true},
		"a module beside the module":   {write("go/go.mod", "module x\n\nreplace o => ../o\n"), true},
		"a chart":                      {write("charts/core/values.yaml", "a: 1"), false},
		"bytecode":                     {write("python/query/__pycache__/main.pyc", "1"), false},
		"a virtual environment":        {write("python/.venv/bin/python", "1"), false},
		"a file open in vi":            {write("go/cmd/agent/.main.go.swp", "1"), false},
		"a file open in Emacs":         {link("me@host.1", "python/query/.#main.py"), false},
		"a folder that links to above": {link("..", "python/query/up"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			workspace := writeFiles(t, map[string]string{
				"go/go.mod": "module x\n", "go/cmd/agent/main.go": "package main", "python/Dockerfile": "FROM x", "python/query/main.py": "", "proto-files/a.proto": "",
				"datasets/a.csv": "1", "rust/y/dynsandbox.yaml": "build: [make]\n",
			})
			link("../../datasets", "python/query/data")(t, workspace)
			before := fingerprintOf(t, workspace)
			tc.change(t, workspace)
			if after := fingerprintOf(t, workspace); (after != before) != tc.shows {
				t.Errorf("fingerprint %s, then %s", before, after)
			}
		})
	}
}

func fingerprintOf(t *testing.T, workspace string) string {
	t.Helper()
	f, err := Fingerprint(workspace)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFingerprintOfAWorkspaceWithoutPython(t *testing.T) {
	t.Parallel()
	a, b := writeFiles(t, map[string]string{"go/go.mod": "module x\n"}), t.TempDir()
	if fingerprintOf(t, a) == fingerprintOf(t, b) {
		t.Error("a workspace without any sources has the same fingerprint")
	}
}

// The machine's own settings decide, too, what a build makes.
func TestFingerprintShowsTheMachinesSettings(t *testing.T) {
	workspace, home := writeFiles(t, map[string]string{"go/go.mod": "module x\n"}), t.TempDir()
	withoutSettings(t)
	t.Setenv("HOME", home)
	t.Setenv("SSL_CERT_FILE", filepath.Join(home, "ca.crt"))
	last := fingerprintOf(t, workspace)
	for _, change := range []struct {
		name string
		do   func()
	}{
		{"an index", func() { t.Setenv("PIP_INDEX_URL", "https://packages.example/simple") }},
		{"pip's own file", func() { writeAt(t, filepath.Join(home, ".pip", "pip.conf"), "[global]\n") }},
		{"certificates", func() { writeAt(t, filepath.Join(home, "ca.crt"), "x") }},
		{"the compiler's flags", func() { t.Setenv("GOFLAGS", "-tags=other") }},
	} {
		change.do()
		now := fingerprintOf(t, workspace)
		if now == last {
			t.Errorf("%s: the same fingerprint", change.name)
		}
		last = now
	}
	t.Setenv("PIP_USER", "1") // says what to do, not where from
	if fingerprintOf(t, workspace) != last {
		t.Error("another fingerprint after a setting that no build uses")
	}
}

func writeAt(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sources that aren't looked at may have been changed.
func TestFingerprintOfSourcesElsewhereNeverStands(t *testing.T) {
	t.Parallel()
	for name, files := range map[string]map[string]string{
		"a module of another folder": {"go/go.mod": "module x\n\nreplace o => ../o\n"},
		"a go.work":                  {"go/go.mod": "module x\n", "go.work": "go 1.21\n\nuse ./go\n"},
	} {
		workspace := writeFiles(t, files)
		if fingerprintOf(t, workspace) == fingerprintOf(t, workspace) {
			t.Errorf("%s: the fingerprint stays", name)
		}
	}
}
