// Package e2e tests the built program on a real kind cluster, as a user would: every test runs bin/dynsandbox against
// one sandbox of its own ("e2e") that TestMain brings up and purges.
//
// DYNSANDBOX_E2E_KEEP=1 keeps the sandbox afterwards (and takes one that is there), for working on a test.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const sandboxName = "e2e"

var (
	root      string // of the repository
	binary    string
	workspace string    // a copy of the reference platform, which tests may change
	summary   upSummary // of the first bring-up
)

// upSummary is what `up -o json` prints, as far as the tests look at it.
type upSummary struct {
	Endpoints []struct{ Name, URL string }
	Phases    []phase
	Scenario  *replayReport
}

type phase struct {
	Name, State, Text string
	Seconds           float64
}

type replayReport struct {
	Passed  bool
	Results []struct {
		Name     string
		Passed   bool
		Failures []string
	}
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.Getwd()
	if err != nil {
		return complain(err)
	}
	root = filepath.Join(dir, "..", "..")
	binary = filepath.Join(root, "bin", "dynsandbox")
	if _, err := os.Stat(binary); err != nil {
		return complain(fmt.Errorf("%w: make build first", err))
	}
	if out, err := exec.Command("docker", "version").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			return complain(fmt.Errorf("no engine answers, and in CI one must: %w\n%s", err, out))
		}
		fmt.Printf("\n*** THE END-TO-END TESTS ARE SKIPPED: no Docker engine answers ***\n%s\n", out)
		return 0
	}
	// For a first bring-up that builds the node image. Shorter than go test's own limit: whoever reads the log should see
	// what hung.
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Minute)
	defer cancel()
	keep := os.Getenv("DYNSANDBOX_E2E_KEEP") != ""
	// Always at the same place, so that a second run finds what the compiler has cached.
	workspace = filepath.Join(root, "bin", "e2e-platform")
	if err := copyPlatform(); err != nil {
		return complain(err)
	}
	if !keep {
		if _, err := dynsandbox(ctx, "down", "--purge"); err != nil {
			return complain(err)
		}
		defer dynsandbox(context.Background(), "down", "--purge")
	}
	if err := upInto(ctx, &summary); err != nil {
		return complain(err)
	}
	return m.Run()
}

// copyPlatform makes the workspace anew, as it is in the repository. The folder itself stays: nodes may have it mounted.
func copyPlatform() error {
	old, err := filepath.Glob(filepath.Join(workspace, "*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	from := filepath.Join(root, "platform")
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(workspace, strings.TrimPrefix(path, from))
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") || d.Name() == "__pycache__"):
			return fs.SkipDir // the tools' own
		case d.IsDir():
			return os.MkdirAll(to, 0o755)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, b, info.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(to, info.ModTime(), info.ModTime())
	})
}

func complain(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

// dynsandbox runs the program against the tests' sandbox and returns its standard output. Its standard error goes to the
// log as it comes, and into the error.
func dynsandbox(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "DYNSANDBOX_NAME="+sandboxName)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		return out.Bytes(), fmt.Errorf("dynsandbox %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.Bytes(), nil
}

// upInto runs up with its progress on the log, and decodes what it prints.
func upInto(ctx context.Context, into *upSummary, args ...string) error {
	cmd := exec.CommandContext(ctx, binary, append([]string{"up", "-o", "json", "--workspace", workspace}, args...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "DYNSANDBOX_NAME="+sandboxName)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("dynsandbox up: %w\n%s", err, out)
	}
	return json.Unmarshal(out, into)
}

// must runs the program and fails the test when it fails.
func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := dynsandbox(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// mustJSON runs the program with -o json and decodes what it prints.
func mustJSON(t *testing.T, into any, args ...string) {
	t.Helper()
	out := must(t, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("dynsandbox %s -o json: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// exitCode returns the code with which the program ended.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// kubectl runs the linked-in kubectl, with stdin.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	return kubectlOf(t, sandboxName, stdin, args...)
}

func kubectlOf(t *testing.T, sandbox, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"kubectl"}, args...)...)
	cmd.Env = append(os.Environ(), "DYNSANDBOX_NAME="+sandbox)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// replayAll runs every scenario and fails the test when one doesn't pass.
func replayAll(t *testing.T) {
	t.Helper()
	var report replayReport
	out, err := dynsandbox(t.Context(), "replay", "-o", "json")
	if jsonErr := json.Unmarshal(out, &report); jsonErr != nil {
		t.Fatalf("replay: %v, %v\n%s", err, jsonErr, out)
	}
	if len(report.Results) == 0 {
		t.Fatal("replay ran no scenario")
	}
	for _, r := range report.Results {
		if !r.Passed {
			t.Errorf("scenario %s: %s", r.Name, strings.Join(r.Failures, "\n"))
		}
	}
}
