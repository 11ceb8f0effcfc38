package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A bundle of the running platform's workspace has all of it; loaded where everything is, it changes nothing; and damaged,
// it is refused there too.
func TestBundle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "platform.bundle")
	var made struct {
		Images []struct{ Role, Name, Ref string }
		Files  []struct{ Role, Name, Path string }
	}
	mustJSON(t, &made, "bundle", "create", file, "--workspace", workspace)
	have := map[string]bool{}
	for _, i := range made.Images {
		have[i.Role+" "+i.Name] = true
	}
	for _, f := range made.Files {
		have[f.Role+" "+f.Name] = true
	}
	var status struct {
		Services []struct{ Name string }
	}
	mustJSON(t, &status, "status")
	if len(status.Services) == 0 {
		t.Fatal("status knows no services")
	}
	wanted := []string{"node image node", "broker image broker", "base image python:3.12-slim", "python library ", "go modules "}
	for _, s := range status.Services {
		wanted = append(wanted, "service "+s.Name)
	}
	for _, w := range wanted {
		if !have[w] {
			t.Errorf("the bundle has no %q", w)
		}
	}
	if text := must(t, "bundle", "inspect", file); !strings.Contains(text, "sql-query") {
		t.Errorf("inspect: %s", text)
	}

	var loaded struct{ Loaded []string }
	for range 2 {
		mustJSON(t, &loaded, "bundle", "load", file)
	}
	if len(loaded.Loaded) > 0 {
		t.Errorf("the second load brought %q", loaded.Loaded)
	}
	must(t, "up", "--offline", "--dry-run", "--workspace", workspace)

	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{"cut short": b[:len(b)*3/4], "changed": changed(b)} {
		if err := os.WriteFile(file, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := dynsandbox(t.Context(), "bundle", "load", file); err == nil || !strings.Contains(err.Error(), "blobs/sha256/") {
			t.Errorf("%s: error %v, want the entry that is wrong", name, err)
		}
	}
}

// changed is a bundle with a byte changed in its middle.
func changed(b []byte) []byte {
	c := append([]byte{}, b...)
	c[len(c)/2] ^= 0xff
	return c
}
