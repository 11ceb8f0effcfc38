package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// workspaceIn makes the folders that a workspace is known by.
func workspaceIn(t *testing.T, dir string) string {
	t.Helper()
	for _, sub := range []string{chartsDir, launchFilesDir, "go/cmd"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func stateIn(t *testing.T) State {
	t.Helper()
	return State{Name: "test", Dir: filepath.Join(t.TempDir(), "test")}
}

func TestConfigureChoosesOnceAndKeeps(t *testing.T) {
	t.Parallel()
	st, dir := stateIn(t), t.TempDir()
	platform := workspaceIn(t, filepath.Join(dir, "platform"))
	if err := Configure(st, Settings{}, dir); err != nil {
		t.Fatal(err)
	}
	first, err := st.Read()
	if err != nil {
		t.Fatal(err)
	}
	if first.Workspace != platform || first.HTTPPort == 0 || first.EtcdPort == 0 || len(first.BrokerPassword) < 16 {
		t.Errorf("chosen: workspace %s, ports %d %d", first.Workspace, first.HTTPPort, first.EtcdPort)
	}
	if err := Configure(st, Settings{}, t.TempDir()); err != nil { // from anywhere
		t.Fatal(err)
	}
	if again, err := st.Read(); err != nil || again.Workspace != first.Workspace || again.BrokerPassword != first.BrokerPassword || again.HTTPPort != first.HTTPPort {
		t.Errorf("a second Configure changed the sandbox: %v", err)
	}
	yes, no, image := true, false, "kindest/node:v1"
	if err := Configure(st, Settings{Offline: &yes, NodeImage: &image, HTTPPort: 9000, Nodes: 3}, dir); err != nil {
		t.Fatal(err)
	}
	if r, _ := st.Read(); !r.Offline || r.NodeImage != image || r.HTTPPort != 9000 || !r.PortAsked || r.Nodes != 3 {
		t.Errorf("what was asked for isn't there: %+v", r.NodeImage)
	}
	if err := Configure(st, Settings{Debug: &yes, BuildArgs: map[string]string{"LEVEL": "9"}}, dir); err != nil {
		t.Fatal(err)
	}
	debugged, _ := st.Read()
	if got := debugged.buildSettings(); !slices.Equal(got, []string{"debug=true", "LEVEL=9"}) || !debugged.Offline {
		t.Errorf("settings of builds: %q", got)
	}
	none := ""
	if err := Configure(st, Settings{Offline: &no, NodeImage: &none, Debug: &no, BuildArgs: map[string]string{}}, dir); err != nil {
		t.Fatal(err)
	}
	if r, _ := st.Read(); r.Offline || r.Debug || len(r.BuildArgs) > 0 || r.NodeImage != "" || r.HTTPPort != 9000 || r.Nodes != 3 {
		t.Error("a setting can't be taken back")
	}
	if err := Configure(st, Settings{Nodes: MaxNodes + 1}, dir); err == nil {
		t.Error("more nodes than a cluster can have")
	}
	if err := Configure(st, Settings{Nodes: 1}, dir); err != nil {
		t.Fatal(err)
	}
	if r, _ := st.Read(); r.Nodes != 1 {
		t.Errorf("%d nodes, 1 was asked for", r.Nodes)
	}
	cluster := filepath.Join(st.Dir, "cluster.json")
	for text, want := range map[string]error{
		`{"complete": true, "nodes": 3}`:  ErrOtherNodes,
		`{"complete": true}`:              ErrOtherNodes, // one
		`{"complete": true, "nodes": 2}`:  nil,
		`{"complete": false, "nodes": 3}`: nil, // it is made anew
	} {
		if err := os.WriteFile(cluster, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Configure(st, Settings{Nodes: 2}, dir); !errors.Is(err, want) {
			t.Errorf("2 nodes for %s: %v", text, err)
		}
		if err := Configure(st, Settings{}, dir); err != nil {
			t.Errorf("no number for %s: %v", text, err)
		}
	}
}

func TestConfigureKeepsToItsWorkspace(t *testing.T) {
	t.Parallel()
	st := stateIn(t)
	old, other := workspaceIn(t, t.TempDir()), workspaceIn(t, t.TempDir())
	if err := Configure(st, Settings{Workspace: old}, "/"); err != nil {
		t.Fatal(err)
	}
	if err := Configure(st, Settings{Workspace: other}, "/"); !errors.Is(err, ErrOtherWorkspace) {
		t.Errorf("another workspace: %v", err)
	}
	if err := Configure(st, Settings{Workspace: t.TempDir()}, "/"); !errors.Is(err, ErrNoWorkspace) {
		t.Errorf("a folder that isn't one: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(old, chartsDir)); err != nil {
		t.Fatal(err)
	}
	if err := Configure(st, Settings{Workspace: other}, "/"); err != nil {
		t.Errorf("a workspace that has moved: %v", err)
	}
}

func TestRecordIsWrittenBySeveral(t *testing.T) {
	t.Parallel()
	st := stateIn(t)
	done := make(chan error)
	const writers = 20
	for range writers {
		go func() {
			_, err := st.Update(func(r *Record) error { r.HTTPPort++; return nil })
			done <- err
		}()
	}
	for range writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if r, err := st.Read(); err != nil || r.HTTPPort != writers {
		t.Errorf("%d of %d changes are there (%v)", r.HTTPPort, writers, err)
	}
	info, err := os.Stat(st.record())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the record's mode is %v (%v)", info.Mode(), err)
	}
	failure := errors.New("no")
	if _, err := st.Update(func(r *Record) error { r.HTTPPort = 1; return failure }); !errors.Is(err, failure) {
		t.Errorf("a change that fails: %v", err)
	}
	if r, _ := st.Read(); r.HTTPPort != writers {
		t.Error("a change that failed was written")
	}
}

func TestLocate(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", "relative")
	st, err := Locate("a")
	if err != nil || !filepath.IsAbs(st.Dir) {
		t.Errorf("state in %q: %v", st.Dir, err)
	}
	t.Setenv("XDG_STATE_HOME", "/"+strings.Repeat("x", 120))
	if _, err := Locate("a"); err == nil || !strings.Contains(err.Error(), "too long for a Unix socket") {
		t.Errorf("a path too long for a socket: %v", err)
	}
	for _, name := range []string{"", "A", "a_b", "-a", strings.Repeat("a", 33)} {
		if _, err := Locate(name); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
}

func TestSecretsAreScrubbed(t *testing.T) {
	t.Parallel()
	st := stateIn(t)
	if _, err := st.Update(func(r *Record) error { r.BrokerPassword = "tell-nobody"; return nil }); err != nil {
		t.Fatal(err)
	}
	s := &session{state: st}
	got := s.scrub(errors.Join(ErrNotReady, errors.New("login with tell-nobody refused")))
	if strings.Contains(got.Error(), "tell-nobody") || !strings.Contains(got.Error(), "login with *** refused") {
		t.Errorf("scrubbed: %s", got)
	}
	if !errors.Is(got, ErrNotReady) {
		t.Error("scrubbing loses what the error is")
	}
	if s.scrub(nil) != nil {
		t.Error("nil is an error now")
	}
}
