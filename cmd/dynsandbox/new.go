package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dynsandbox/dynsandbox/sandbox"
	"github.com/dynsandbox/dynsandbox/sandbox/scaffold"
)

func newNew(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "new",
		Short: "Write a new part into the workspace, or take it out again",
		Long: `new writes what a new part of the platform takes into the workspace, all of it or nothing. Files that exist are
edited at the one place that changes. Where a sandbox runs, what was added is live when the command returns.`,
		Example: `  dynsandbox new microservice double-check --after sql-query
  dynsandbox new microservice double-check --rm`,
	}
	group(c)
	c.AddCommand(newMicroservice(g))
	return c
}

func newMicroservice(g *global) *cobra.Command {
	var m scaffold.Microservice
	var opts sandbox.ScaffoldOptions
	var remove bool
	c := &cobra.Command{
		Use:   "microservice NAME",
		Short: "Write a new service of a chain, or take it out again",
		Long: `microservice writes the folder of a new service, with an example of work, a test and a page about it; its place in the
launch files; its target in the Makefile; and a scenario that runs it. Where the sandbox runs the workspace, it waits
until the service is in the platform, and runs the scenario.

The service comes directly behind those of --after, or directly before those of --before; with both, just between
them; with neither, behind the first service that the request type requires (a computeProvider: before the last). The
request type requires it, unless --optional names an option that adds it.

--rm takes all of it out again, unless files were worked on since: then only with --force.`,
		Example: `  dynsandbox new microservice double-check --after sql-query
  dynsandbox new microservice mask --lang go --before sql-algorithm --optional mask --dry-run
  dynsandbox new microservice double-check --rm`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := fitting(cmd, remove); err != nil {
				return err
			}
			st, err := g.state()
			if err != nil {
				return err
			}
			here, err := os.Getwd()
			if err != nil {
				return err
			}
			var report *sandbox.ScaffoldReport
			if remove {
				report, err = sandbox.RemoveMicroservice(cmd.Context(), st, here, names[0], opts)
			} else {
				m.Name = names[0]
				report, err = sandbox.AddMicroservice(cmd.Context(), st, here, m, opts)
			}
			if report != nil && (err == nil || len(report.Files) > 0) { // what was written is said, whatever came after
				err = errors.Join(err, g.print(report))
			}
			if err == nil && !report.Passed() {
				return alreadyShown{errors.New("its scenario failed")}
			}
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&m.Language, "lang", "", "what it is written in: python or go (default python)")
	f.StringVar(&m.Label, "label", "", "who runs it: dataProvider or computeProvider (default: as the service beside it)")
	f.StringSliceVar(&m.After, "after", nil, "`SERVICE`s that it follows; with commas, or repeated")
	f.StringSliceVar(&m.Before, "before", nil, "`SERVICE`s that follow it; with commas, or repeated")
	f.StringVar(&m.RequestType, "request-type", "", "the request type that it becomes a part of (default: the first with a service beside it)")
	f.StringVar(&m.Option, "optional", "", "the `OPTION` of a request that adds it; without one, each request has it")
	f.StringVar(&opts.Workspace, "workspace", "", "the workspace (default: the sandbox's, or found from the current folder)")
	f.BoolVar(&opts.DryRun, "dry-run", false, "print a unified diff of all that would change; change nothing")
	f.BoolVar(&remove, "rm", false, "take the service out again")
	f.BoolVar(&opts.Force, "force", false, "with --rm: also what was worked on since")
	g.outputFlag(c)
	return c
}

// fitting refuses flags that say nothing to what is done.
func fitting(cmd *cobra.Command, remove bool) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch f.Name {
		case "lang", "label", "after", "before", "request-type", "optional":
			if remove && err == nil {
				err = usageError{fmt.Errorf("--%s has no meaning with --rm", f.Name)}
			}
		case "force":
			if !remove && err == nil {
				err = usageError{errors.New("--force has a meaning only with --rm")}
			}
		}
	})
	return err
}
