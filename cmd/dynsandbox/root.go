package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

// streams are where a command reads and writes; tests give their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// Exit codes, as every command's help lists them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2   // wrong flags or arguments, or a file of the user's that is refused
	exitNoSandbox   = 3   // no such sandbox, or it isn't running
	exitInterrupted = 130 // as shells do for SIGINT
)

const exitStatus = `
EXIT STATUS
  0    success
  1    it failed
  2    wrong usage, or a file with errors in it (file:line:column on standard error)
  3    there is no such sandbox, or it isn't running
  130  interrupted`

// global are the flags that every command has.
type global struct {
	streams
	name   string // --name
	output string // -o
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, st streams, args []string) int {
	root := newRoot(st)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var shown alreadyShown
	if !errors.As(err, &shown) {
		printError(st.err, err)
	}
	return exitCode(err)
}

func exitCode(err error) int {
	var usage usageError
	var code codeError
	switch {
	case errors.As(err, &code):
		return code.code
	case errors.Is(err, context.Canceled), errors.Is(err, sandbox.ErrStopped):
		return exitInterrupted
	case errors.As(err, &usage), fault.AsInvalids(err) != nil:
		return exitUsage
	case errors.Is(err, sandbox.ErrNoSandbox), errors.Is(err, sandbox.ErrNoSession):
		return exitNoSandbox
	}
	return exitFailed
}

// usageError is a command line that can't be understood.
type usageError struct{ error }

// codeError ends the program with a code of its own.
type codeError struct {
	error
	code int
}

// alreadyShown is an error whose text stands on the screen.
type alreadyShown struct{ error }

func (e alreadyShown) Unwrap() error { return e.error }

func newRoot(st streams) *cobra.Command {
	g := &global{streams: st}
	root := &cobra.Command{
		Use:   "dynsandbox",
		Short: "A local developer sandbox for DYNAMOS, on kind, with no registry",
		Long: `dynsandbox brings up a whole DYNAMOS platform on this machine, from local sources, with no container registry:
a Kubernetes cluster (kind) with the config store and the broker beside it, every service built and loaded,
and scenarios that replay requests through the whole chain.

The sandbox lives on after the command: a session process in the background owns it.`,
		Example: `  dynsandbox up                # cluster, images, platform, one scenario
  dynsandbox status
  dynsandbox replay
  dynsandbox kubectl get pods -A
  dynsandbox down`,
		SilenceUsage:     true,
		SilenceErrors:    true,
		TraverseChildren: true, // so that "--name x kubectl ..." works although kubectl parses its own flags
	}
	root.SetIn(st.in)
	root.SetOut(st.out)
	root.SetErr(st.err)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentFlags().StringVar(&g.name, "name", defaultName(), "the sandbox's name ($DYNSANDBOX_NAME)")
	for _, c := range []*cobra.Command{
		newUp(g), newDown(g), newStatus(g), newReplay(g), newFixtures(g), newNodeImage(g),
		newKubectl(g), newEnv(g), newSetup(g), newVersion(g), newSession(g),
	} {
		if c.Long != "" {
			c.Long += "\n" + exitStatus
		}
		for _, sub := range c.Commands() {
			sub.Long += "\n" + exitStatus
		}
		root.AddCommand(c)
	}
	return root
}

// outputFlag adds -o to a command that prints something to read.
func (g *global) outputFlag(c *cobra.Command) {
	c.Flags().StringVarP(&g.output, "output", "o", "text", "how to print: text or json")
	inner := c.PreRunE
	c.PreRunE = func(cmd *cobra.Command, args []string) error {
		if g.output != "text" && g.output != "json" {
			return usageError{fmt.Errorf("-o %s: there is text and json", g.output)}
		}
		if inner != nil {
			return inner(cmd, args)
		}
		return nil
	}
}

// args wraps a check of positional arguments so that its error counts as wrong usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, a []string) error {
		if err := check(cmd, a); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// state returns the state of the sandbox that --name names.
func (g *global) state() (sandbox.State, error) {
	st, err := sandbox.Locate(g.name)
	if err != nil {
		return st, usageError{err}
	}
	return st, nil
}
