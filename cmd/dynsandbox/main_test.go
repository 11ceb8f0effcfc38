package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"dynsandbox": main})
}

// leakless fails a run of tests that leaves goroutines.
type leakless struct{ *testing.M }

func (m leakless) Run() int {
	ignore := goleak.IgnoreCurrent()
	code := m.M.Run()
	if err := goleak.Find(ignore); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// TestScripts runs the scripts in testdata, a file a command. They have no engine and no session; $EMPTY_ENGINE is the
// DOCKER_HOST of an engine with nothing in it.
func TestScripts(t *testing.T) {
	engine := emptyEngine(t)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			for name, value := range map[string]string{
				"HOME":            filepath.Join(e.WorkDir, "home"),
				"XDG_STATE_HOME":  filepath.Join(e.WorkDir, "state"),
				"XDG_CACHE_HOME":  filepath.Join(e.WorkDir, "cache"),
				"DYNSANDBOX_NAME": "",
				"DOCKER_HOST":     "unix://" + filepath.Join(e.WorkDir, "no-engine.sock"),
				"EMPTY_ENGINE":    engine,
			} {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits CODE dynsandbox ARGUMENTS... is exec that wants a certain exit code, and no panic.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	if strings.Contains(ts.ReadFile("stderr"), "goroutine 1 ") {
		ts.Fatalf("it panicked")
	}
}

// emptyEngine stands in for a Docker engine that has nothing, and returns its DOCKER_HOST.
func emptyEngine(t *testing.T) string {
	mux := http.NewServeMux()
	for path, answer := range map[string]string{
		"/_ping":                     "OK",
		"GET /v1.51/version":         `{"Version": "28.5.2"}`,
		"GET /v1.51/containers/json": "[]",
		"GET /v1.51/networks":        "[]",
		"GET /v1.51/volumes":         `{"Volumes": []}`,
		"GET /v1.51/images/json":     "[]",
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Api-Version", "1.51")
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, answer)
		})
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return "tcp://" + server.Listener.Addr().String()
}
