package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// kubectl's proxy ignores the context: the signal itself must end it.
func TestInterruptEndsKubectl(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_STATE_HOME", dir)
	state := filepath.Join(dir, "dynsandbox", "default")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"sandbox.json": `{"workspace": "/ws"}`,
		"kubeconfig":   kubeconfig,
	} {
		if err := os.WriteFile(filepath.Join(state, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	proxy := exec.CommandContext(t.Context(), "dynsandbox", "kubectl", "proxy", "--port=0")
	shown := start(t, proxy)
	shown("Starting to serve")
	interrupt(t, proxy)
	wantInterrupted(t, proxy)
}

const kubeconfig = `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
contexts: [{name: c, context: {cluster: c}}]
current-context: c
`
