package main

import (
	"context"
	"errors"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox"
	"github.com/dynsandbox/dynsandbox/sandbox/pyenv"
	"github.com/dynsandbox/dynsandbox/sandbox/scaffold"
)

// Exit codes, as every command's help lists them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2   // wrong flags, arguments or names, or a file of the user's that is refused
	exitNoSandbox   = 3   // no such sandbox, or it isn't running
	exitInterrupted = 130 // as shells do for SIGINT
)

const exitStatus = `
EXIT STATUS
  0    success
  1    it failed
  2    wrong usage, or a file with errors in it (told with file:line:column)
  3    there is no such sandbox, or it isn't running (yet)
  130  interrupted
`

// exitCode is the code that an error ends the program with.
func exitCode(err error) int {
	var usage usageError
	var code codeError
	var choice *scaffold.ChoiceError
	var service *pyenv.ServiceError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return code.code
	case errors.Is(err, context.Canceled), errors.Is(err, sandbox.ErrStopped):
		return exitInterrupted
	case errors.As(err, &usage), errors.As(err, &choice), errors.As(err, &service), fault.AsInvalids(err) != nil,
		errors.Is(err, sandbox.ErrUnknownName), errors.Is(err, sandbox.ErrNoWorkspace), errors.Is(err, sandbox.ErrOtherNodes):
		return exitUsage
	case errors.Is(err, sandbox.ErrNoSandbox), errors.Is(err, sandbox.ErrNoSession), errors.Is(err, sandbox.ErrNotReady):
		return exitNoSandbox
	}
	return exitFailed
}

// codeError ends the program with a code of its own.
type codeError struct {
	error
	code int
}

func (e codeError) Unwrap() error { return e.error }

// alreadyShown is an error whose text stands on the screen.
type alreadyShown struct{ error }

func (e alreadyShown) Unwrap() error { return e.error }

// usageError is a command line that can't be understood.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }
