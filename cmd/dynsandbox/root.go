package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

// streams are where a command reads and writes; tests give their own.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

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
	if errors.Is(err, pflag.ErrHelp) { // --help before a command's name
		err = root.Help()
	}
	err = ahead(err)
	if shown := (alreadyShown{}); err != nil && !errors.As(err, &shown) {
		printError(st.err, err)
	}
	return exitCode(err)
}

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
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(newHelp())
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, a []string) {
		help(c, a)
		fmt.Fprint(c.OutOrStdout(), exitStatus)
	})
	group(root)
	root.PersistentFlags().StringVar(&g.name, "name", defaultName(), "the sandbox's name ($DYNSANDBOX_NAME)")
	root.AddCommand(newUp(g), newDown(g), newStatus(g), newReload(g), newWait(g), newEvents(g), newReplay(g), newTrace(g), newNew(g), newVenv(g), newDoctor(g), newFixtures(g), newNodeImage(g), newBundle(g),
		newKubectl(g), newEnv(g), newSetup(g), newVersion(g), newSession(g))
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

// state returns the state of the sandbox that --name names.
func (g *global) state() (sandbox.State, error) {
	st, err := sandbox.Locate(g.name)
	if err != nil {
		return st, usageError{err}
	}
	return st, nil
}
