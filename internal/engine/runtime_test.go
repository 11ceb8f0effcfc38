package engine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLacksCapability(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		status string
		want   bool
	}{
		"full set":          {"Name:\tx\nCapBnd:\t000001ffffffffff\n", false},
		"no sys_resource":   {"CapBnd:\t000001fffeffffff\n", true},
		"other one missing": {"CapBnd:\t000001fffdffffff\n", false},
		"no such line":      {"Name:\tx\n", false},
		"not a number":      {"CapBnd:\tzz\n", false},
	} {
		if got := lacksCapability([]byte(tc.status), capSysResource); got != tc.want {
			t.Errorf("%s: got %v, want %v", name, got, tc.want)
		}
	}
}

// The wrapper must leave everything but the one capability, and hand all arguments to runc.
func TestRuncShim(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	spec := filepath.Join(dir, "config.json")
	caps := func(names ...string) map[string]any {
		return map[string]any{"process": map[string]any{"capabilities": map[string]any{"bounding": names}}}
	}
	before, err := json.Marshal(caps("CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, b []byte, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, b, mode); err != nil {
			t.Fatal(err)
		}
	}
	write(spec, before, 0o644)
	write(filepath.Join(dir, "shim"), runcShim, 0o755)
	write(filepath.Join(dir, "runc"), []byte("#!/bin/sh\necho \"$@\"\n"), 0o755)
	cmd := exec.Command(filepath.Join(dir, "shim"), "--root", "/r", "create", "--bundle", dir, "id")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("run the wrapper: %v\n%s", err, out)
	}
	if want := "--root /r create --bundle " + dir + " id\n"; string(out) != want {
		t.Errorf("runc got %q, want %q", out, want)
	}
	after, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Process struct {
			Capabilities struct{ Bounding []string }
		}
	}
	if err := json.Unmarshal(after, &got); err != nil {
		t.Fatalf("the specification is no JSON any more: %v\n%s", err, after)
	}
	if want := []string{"CAP_CHOWN", "CAP_SYS_ADMIN"}; !slices.Equal(got.Process.Capabilities.Bounding, want) {
		t.Errorf("capabilities: got %v, want %v", got.Process.Capabilities.Bounding, want)
	}
}

func TestWriteRuntime(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "docker", "daemon.json")
	for range 2 { // the second time it is there
		note, err := writeRuntime(file)
		if err != nil || note != runtimeNote {
			t.Fatalf("got %q, %v", note, err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Runtimes map[string]struct{ Path string } `json:"runtimes"`
		Default  string                           `json:"default-runtime"`
	}
	if err := json.Unmarshal(b, &got); err != nil || got.Runtimes[got.Default].Path != shimPath {
		t.Errorf("wrote %s, %v", b, err)
	}

	const users = `{"debug": true}`
	if err := os.WriteFile(file, []byte(users), 0o644); err != nil {
		t.Fatal(err)
	}
	if note, err := writeRuntime(file); err != nil || !strings.Contains(note, "add to "+file) {
		t.Errorf("with a configuration of the user's: got %q, %v", note, err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != users {
		t.Errorf("the user's configuration is now %s, %v", b, err)
	}
}
