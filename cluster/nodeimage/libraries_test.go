package nodeimage

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Absolute links mean the tree's root, not this machine's: /etc/services must never come from the host.
func TestResolveIn(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "usr/lib/x"), 0o755))
	must(os.WriteFile(filepath.Join(root, "usr/lib/x/libc.so.6"), nil, 0o644))
	must(os.Symlink("usr/lib", filepath.Join(root, "lib")))
	must(os.Symlink("/lib/x", filepath.Join(root, "lib64")))
	must(os.Symlink("../../../../lib64/libc.so.6", filepath.Join(root, "usr/lib/x/up")))
	must(os.Symlink("/etc/passwd", filepath.Join(root, "usr/lib/x/away")))
	must(os.Symlink("loop", filepath.Join(root, "loop")))
	for name, want := range map[string]string{
		"/usr/lib/x/libc.so.6": "usr/lib/x/libc.so.6",
		"/lib/x/libc.so.6":     "usr/lib/x/libc.so.6",
		"/lib64/libc.so.6":     "usr/lib/x/libc.so.6",
		"/lib/x/up":            "usr/lib/x/libc.so.6",
	} {
		if got, err := resolveIn(root, name); err != nil || got != filepath.Join(root, want) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"/lib/x/away", "/nothing", "/loop"} {
		if got, err := resolveIn(root, name); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
}

// A program of this machine, in a tree with and without the libraries it is linked with.
func TestClosure(t *testing.T) {
	t.Parallel()
	const program = "/usr/bin/true"
	if needs, err := needed(program); err != nil || len(needs) == 0 {
		t.Skipf("%s isn't a dynamically linked ELF program here: %v", program, err)
	}
	if dirs, _ := filepath.Glob("/usr/lib/*-linux-gnu*"); len(dirs) == 0 {
		t.Skip("this machine's libraries aren't where Debian has them")
	}
	found, err := closure("/", []string{program})
	if err != nil {
		t.Fatal(err)
	}
	var libc, loader bool
	for _, e := range found {
		libc = libc || strings.HasSuffix(e.to, "/libc.so.6")
		loader = loader || strings.Contains(e.to, "/ld-linux")
	}
	if !libc || !loader {
		t.Errorf("no libc (%v) or loader (%v) among %v", libc, loader, found)
	}

	bare := t.TempDir()
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bare, "true"), text, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := closure(bare, []string{"/true"}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "libc.so.6") {
		t.Errorf("without libraries: got %v, want that libc.so.6 is missing", err)
	}
}
