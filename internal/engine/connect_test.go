package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

// The engine of the docker command's context is found, and everything in this process finds the same from then on.
func TestConnectByContext(t *testing.T) {
	host := new(enginetest.Engine).Start(t).DaemonHost()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\n[ \"$1 $2\" = 'context inspect' ] && echo "+host+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONTEXT", "elsewhere")
	t.Setenv("DOCKER_HOST", "")
	c, err := engine.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.DaemonHost() != host {
		t.Errorf("connected to %s, want %s", c.DaemonHost(), host)
	}
	if got := os.Getenv("DOCKER_HOST"); got != host {
		t.Errorf("DOCKER_HOST is %q, want %q", got, host)
	}
	if _, set := os.LookupEnv("DOCKER_CONTEXT"); set {
		t.Error("DOCKER_CONTEXT is still set: the docker command would refuse both")
	}
}

// What the user names is all that counts.
func TestConnectByHost(t *testing.T) {
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "none.sock"))
	if c, err := engine.Connect(t.Context()); err == nil {
		t.Errorf("connected to %s", c.DaemonHost())
		c.Close()
	}
}
