package images

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The context of a build must depend on what is in the workspace's files, and on nothing else.
func TestContextOfEqualFilesIsEqual(t *testing.T) {
	t.Parallel()
	files := map[string]string{"main.py": "x = 1\n", "data/a.csv": "1;2\n", "__pycache__/main.pyc": "old", ".venv/x": "y", "lib.egg-info/PKG": "z"}
	hash := func(change func(dir string)) string {
		t.Helper()
		src := writeFiles(t, files)
		if change != nil {
			change(src)
		}
		to := filepath.Join(t.TempDir(), "context")
		tree := copyContext(t, src, to)
		for _, name := range []string{"__pycache__", ".venv", "lib.egg-info"} {
			if exists(filepath.Join(to, name)) {
				t.Errorf("%s is in the context", name)
			}
		}
		h := tree.hash("salt")
		copied := contextTree{}
		if err := copied.addFolder(nil, to, "."); err != nil {
			t.Fatal(err)
		}
		if copied.hash("salt") != h {
			t.Error("the copy has another hash than what was copied")
		}
		return h
	}
	write := func(path, text string) func(string) {
		return func(dir string) {
			if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := hash(nil)
	for name, same := range map[string]func(string){
		"again": nil, "rewritten": write("main.py", "x = 1\n"), "a compiled file": write("__pycache__/new.pyc", ""),
		"open in vi": write(".main.py.swp", "b0VIM"), "open in Emacs": write("data/#a.csv#", "1"), "a backup": write("main.py~", "x = 0\n"),
	} {
		if hash(same) != first {
			t.Errorf("%s: another hash", name)
		}
	}
	for name, other := range map[string]func(string){"changed": write("main.py", "x = 2\n"), "a new file": write("data/b.csv", "")} {
		if hash(other) == first {
			t.Errorf("%s: the same hash", name)
		}
	}
}

func TestContextFollowsLinks(t *testing.T) {
	t.Parallel()
	outside := writeFiles(t, map[string]string{"a.csv": "1;2\n"})
	src := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(src, "data")); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "context")
	copyContext(t, src, to)
	if info, err := os.Lstat(filepath.Join(to, "data", "a.csv")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("the linked folder was not copied: %v", err)
	}
	if err := os.Symlink(".", filepath.Join(src, "self")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(src, "gone.csv")); err != nil {
		t.Fatal(err)
	}
	to = filepath.Join(t.TempDir(), "context")
	copyContext(t, src, to) // with a link to a folder above, and one to nowhere
	if left, err := os.ReadDir(to); err != nil || len(left) != 1 {
		t.Errorf("got %v, error %v, want data alone", left, err)
	}
}

// The modes in an image are what git keeps, not what the umask of whoever builds leaves.
func TestContextModesAreTheSameUnderAnyUmask(t *testing.T) {
	src := writeFiles(t, map[string]string{"main.py": "", "run.sh": "", "data/a.csv": ""})
	if err := os.Chmod(filepath.Join(src, "run.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "context")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	copyContext(t, src, to)
	for path, want := range map[string]os.FileMode{"main.py": 0o644, "run.sh": 0o755, "data": 0o755, "data/a.csv": 0o644} {
		if info, err := os.Stat(filepath.Join(to, path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: got %v, error %v, want %v", path, info.Mode(), err, want)
		}
	}
}

// copyContext makes a context of a folder.
func copyContext(t *testing.T, from, to string) contextTree {
	t.Helper()
	tree := contextTree{}
	if err := tree.addFolder(nil, from, "."); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := tree.write(to); err != nil {
		t.Fatal(err)
	}
	return tree
}
