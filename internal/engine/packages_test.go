package engine

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// debian puts scripts in the place of Debian's tools. Each of them writes its name and first argument to the file
// calls, and then does what body says; $N is how often it was called before.
func debian(t *testing.T, bodies map[string]string) (calls func() []string) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	for name, body := range bodies {
		script := "#!/bin/sh\nN=$(grep -c \"^" + name + " $1\" " + log + " 2>/dev/null)\necho \"" + name + " $1\" >>" + log + "\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() []string {
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

func TestInstall(t *testing.T) {
	const query = "dpkg-query --show"
	for name, tc := range map[string]struct {
		tools map[string]string
		calls []string
		err   string
	}{
		"all there": {
			tools: map[string]string{"dpkg-query": "echo installed gcc; echo installed git", "apt-get": ""},
			calls: []string{query},
		},
		"one is missing": {
			tools: map[string]string{"dpkg-query": "echo installed gcc; exit 1", "apt-get": `case "$*" in *gcc*) exit 1;; esac`},
			calls: []string{query, "apt-get update", "apt-get install"},
		},
		"removed, but not its configuration": {
			tools: map[string]string{"dpkg-query": "echo installed gcc; echo config-files git", "apt-get": ""},
			calls: []string{query, "apt-get update", "apt-get install"},
		},
		"another process updates": {
			tools: map[string]string{"dpkg-query": "exit 1", "apt-get": `[ "$1$N" = update0 ] && { echo "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7" >&2; exit 100; }; exit 0`},
			calls: []string{query, "apt-get update", "apt-get update", "apt-get install"},
		},
		"dpkg was interrupted": {
			tools: map[string]string{"dpkg-query": "exit 1", "dpkg": "", "apt-get": `[ "$1$N" = install0 ] && { echo "E: dpkg was interrupted, you must manually run 'dpkg --configure -a'"; exit 100; }; exit 0`},
			calls: []string{query, "apt-get update", "apt-get install", "dpkg --configure", "apt-get install"},
		},
		"no way out": {
			tools: map[string]string{"dpkg-query": "exit 1", "apt-get": "echo E: Could not resolve; exit 100"},
			calls: []string{query, "apt-get update"}, err: "Could not resolve",
		},
	} {
		t.Run(name, func(t *testing.T) {
			calls := debian(t, tc.tools)
			err := apt{log: io.Discard, every: time.Millisecond, patience: time.Minute}.install(t.Context(), []string{"gcc", "git"})
			if (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("error %v, want %q", err, tc.err)
			}
			if got := calls(); !slices.Equal(got, tc.calls) {
				t.Errorf("called %q, want %q", got, tc.calls)
			}
		})
	}
}

func TestInstallLocked(t *testing.T) {
	debian(t, map[string]string{"dpkg-query": "exit 1", "apt-get": "echo E: Could not get lock x. It is held by process 7; exit 100"})
	err := apt{log: io.Discard, every: time.Millisecond}.install(t.Context(), []string{"gcc"})
	var timeout *fault.Timeout
	if !errors.As(err, &timeout) || !strings.Contains(timeout.LastSeen, "process 7") {
		t.Errorf("got %v, want a *fault.Timeout that names the process", err)
	}
}

// Ctrl-C must not kill dpkg half-way: an installation that has begun ends, and then the cancellation is told.
func TestInstallCancelled(t *testing.T) {
	dir := t.TempDir()
	began, goOn, ended := filepath.Join(dir, "began"), filepath.Join(dir, "go-on"), filepath.Join(dir, "ended")
	debian(t, map[string]string{"dpkg-query": "exit 1",
		"apt-get": "[ $1 = install ] || exit 0; touch " + began + "; while [ ! -e " + goOn + " ]; do sleep 0.02; done; touch " + ended})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- apt{log: io.Discard}.install(ctx, []string{"gcc"}) }()
	for {
		if _, err := os.Stat(began); err == nil {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("it ended before the installation: %v", err)
		case <-time.After(5 * time.Millisecond):
		}
	}
	cancel()
	if err := os.WriteFile(goOn, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if _, err := os.Stat(ended); err != nil {
		t.Error("the installation was killed")
	}
}
