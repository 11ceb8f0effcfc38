package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

func TestExitCode(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, 0},
		{"any", errors.New("broken"), 1},
		{"usage", usageError{errors.New("unknown flag")}, 2},
		{"a problem in a file", fmt.Errorf("read: %w", fault.Invalid{File: "a.json"}), 2},
		{"problems in files", fault.Invalids{{File: "a.json"}}, 2},
		{"no sandbox", fmt.Errorf("%w: %q", sandbox.ErrNoSandbox, "x"), 3},
		{"no session", fmt.Errorf("%w for x", sandbox.ErrNoSession), 3},
		{"a name that nothing has", fmt.Errorf("%w", sandbox.ErrUnknownName), 2},
		{"no workspace", fmt.Errorf("%w: /x", sandbox.ErrNoWorkspace), 2},
		{"interrupted", fmt.Errorf("wait: %w", context.Canceled), 130},
		{"stopped at a safe point", sandbox.ErrStopped, 130},
		{"a code of its own before what it wraps", codeError{sandbox.ErrNoSandbox, 42}, 42},
		{"shown already", alreadyShown{sandbox.ErrNoSession}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := exitCode(c.err); got != c.want {
				t.Errorf("exit code %d, want %d", got, c.want)
			}
		})
	}
}
