package scaffold

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// open writes the files of an archive as a workspace.
func open(t *testing.T, archive string) Workspace {
	t.Helper()
	w := Workspace{Dir: t.TempDir(), LaunchFiles: "configuration/etcd_launch_files", Scenarios: "scenarios"}
	extract(t, w, archive)
	return w
}

// extract writes the files of an archive into a workspace.
func extract(t *testing.T, w Workspace, archive string) {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", archive))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range a.Files {
		write(t, w, f.Name, f.Data)
	}
}

func write(t *testing.T, w Workspace, name string, data []byte) {
	t.Helper()
	path := filepath.Join(w.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// snapshot is all of a folder: files with mode and content, and folders.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[rel] = info.Mode().String()
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			all[rel] += "\n" + string(b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// same fails the test when a folder isn't as it was.
func same(t *testing.T, dir string, before map[string]string) {
	t.Helper()
	if after := snapshot(t, dir); !maps.Equal(before, after) {
		t.Errorf("the workspace isn't as it was (-before +after):\n%s", cmp.Diff(before, after))
	}
}

// leads makes changes, which must lead to a workspace as it was once.
func leads(t *testing.T, w Workspace, changes Changes, err error, to map[string]string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := changes.Apply(w.Dir); err != nil {
		t.Fatal(err)
	}
	same(t, w.Dir, to)
}

// golden compares a text with a file in testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}
