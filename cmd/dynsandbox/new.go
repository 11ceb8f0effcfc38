package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

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
  dynsandbox new microservice double-check --rm
  dynsandbox new archetype shared --compute-provider other
  dynsandbox new agent HVA
  dynsandbox new agent TNO --third-party`,
	}
	group(c)
	c.AddCommand(newMicroservice(g), newArchetype(g), newAgent(g))
	return c
}

func newMicroservice(g *global) *cobra.Command {
	var m scaffold.Microservice
	c := &cobra.Command{
		Use:   "microservice NAME",
		Short: "Write a new service of a chain, or take it out again",
		Long: `microservice writes the folder of a new service, with an example of work, a test and a page about it; its place in the
launch files; its target in the Makefile; and a scenario that runs it. Where the sandbox runs the workspace, it waits
until the service is in the platform, and runs the scenario.

The service comes directly behind those of --after, or directly before those of --before; with both, just between
them; with neither, behind the first service that the request type requires (a computeProvider: before the last). The
request type requires it, unless --optional names an option that adds it.

--rm takes all of it out again, unless files were worked on since: then only with --force. An environment that
dynsandbox venv made goes with the folder, one of your own stays.`,
		Example: `  dynsandbox new microservice double-check --after sql-query
  dynsandbox new microservice mask --lang go --before sql-algorithm --optional mask --dry-run
  dynsandbox new microservice double-check --rm`,
	}
	f := c.Flags()
	f.StringVar(&m.Language, "lang", "", "what it is written in: python or go (default python)")
	f.StringVar(&m.Label, "label", "", "who runs it: dataProvider or computeProvider (default: as the service beside it)")
	f.StringSliceVar(&m.After, "after", nil, "`SERVICE`s that it follows; with commas, or repeated")
	f.StringSliceVar(&m.Before, "before", nil, "`SERVICE`s that follow it; with commas, or repeated")
	f.StringVar(&m.RequestType, "request-type", "", "the request type that it becomes a part of (default: the first with a service beside it)")
	f.StringVar(&m.Option, "optional", "", "the `OPTION` of a request that adds it; without one, each request has it")
	g.newPart(c, []string{"lang", "label", "after", "before", "request-type", "optional"}, part{
		add: func(ctx context.Context, st sandbox.State, here, name string, opts sandbox.ScaffoldOptions) (*sandbox.ScaffoldReport, error) {
			m.Name = name
			return sandbox.AddMicroservice(ctx, st, here, m, opts)
		},
		remove: sandbox.RemoveMicroservice,
	})
	return c
}

func newArchetype(g *global) *cobra.Command {
	var a scaffold.Archetype
	var weight int
	c := &cobra.Command{
		Use:   "archetype NAME",
		Short: "Write a new archetype, or take it out again",
		Long: `archetype writes a new archetype into the launch files: where computation takes place (--compute-provider: each
dataProvider, or other, a trusted third party), and that agreements allow it. It also writes one user, NAME@example.org,
who may use no other archetype, and a scenario with a request of theirs; requests of others choose as they did. Where the
sandbox runs the workspace, it waits until that is in the platform, and runs the scenario.

--rm takes all of it out again, unless the scenario was worked on since: then only with --force.`,
		Example: `  dynsandbox new archetype shared --compute-provider other
  dynsandbox new archetype apart --weight 50 --provider UVA,VU --dry-run
  dynsandbox new archetype shared --rm`,
	}
	f := c.Flags()
	f.StringVar(&a.ComputeProvider, "compute-provider", "", "who computes: dataProvider or other (default dataProvider)")
	f.IntVar(&weight, "weight", 0, "of several that are allowed the lightest is chosen (default: heavier than all others)")
	f.StringSliceVar(&a.Providers, "provider", nil, "`DATA PROVIDER`s whose agreements allow it (default: all that can); with commas, or repeated")
	g.newPart(c, []string{"compute-provider", "weight", "provider"}, part{
		add: func(ctx context.Context, st sandbox.State, here, name string, opts sandbox.ScaffoldOptions) (*sandbox.ScaffoldReport, error) {
			a.Name = name
			if f.Changed("weight") {
				a.Weight = &weight
			}
			return sandbox.AddArchetype(ctx, st, here, a, opts)
		},
		remove: sandbox.RemoveArchetype,
	})
	return c
}

func newAgent(g *global) *cobra.Command {
	a := scaffold.Agent{Rows: new(int)}
	var third bool
	var providers []string
	c := &cobra.Command{
		Use:   "agent NAME",
		Short: "Write a new party, or take it out again",
		Long: `agent writes a new party, on the terms of one that is there (--like): its agent into the charts, in the way in which
they have the others; its agreement, by which the same users may ask for the same; the first rows of the other's tables, as
its own; and a scenario that asks it alone. Where the sandbox runs the workspace, it waits until the agent is in the
platform, and runs the scenario.

With --third-party it has no data and computes on that of others: its agent is made like another third party's, and agreements
name it as a compute provider. It also writes one user, NAME@example.org, for whom nobody else may compute, and a scenario with a
request of theirs; requests of others choose as they did.

--rm takes all of it out again, unless files, or what the charts say of it, were worked on since: then only with
--force.`,
		Example: `  dynsandbox new agent HVA
  dynsandbox new agent RUG --like VU --rows 1000 --dry-run
  dynsandbox new agent TNO --third-party --provider UVA,VU
  dynsandbox new agent HVA --rm`,
	}
	f := c.Flags()
	f.StringVar(&a.Like, "like", "", "the `AGENT` that it is made like (default: the first that anybody may ask for something, or that is a third party)")
	f.IntVar(a.Rows, "rows", scaffold.DefaultRows, "how many of that one's rows it begins with, of each table")
	f.BoolVar(&third, "third-party", false, "it computes on the data of others, and has none")
	f.StringSliceVar(&providers, "provider", nil, "`DATA PROVIDER`s whose agreements let the third party compute (default: all that can); with commas, or repeated")
	g.newPart(c, []string{"like", "rows", "third-party", "provider"}, part{
		fits: func() error {
			switch {
			case third && f.Changed("rows"):
				return errors.New("--rows has no meaning with --third-party")
			case !third && f.Changed("provider"):
				return errors.New("--provider has a meaning only with --third-party")
			}
			return nil
		},
		add: func(ctx context.Context, st sandbox.State, here, name string, opts sandbox.ScaffoldOptions) (*sandbox.ScaffoldReport, error) {
			if third {
				return sandbox.AddThirdParty(ctx, st, here, scaffold.ThirdParty{Name: name, Like: a.Like, Providers: providers}, opts)
			}
			a.Name = name
			return sandbox.AddAgent(ctx, st, here, a, opts)
		},
		remove: sandbox.RemoveAgent,
	})
	return c
}

// part is how something new gets into a workspace and out of it.
type part struct {
	fits        func() error // whether what is asked for makes sense; may be nil
	add, remove func(ctx context.Context, st sandbox.State, here, name string, opts sandbox.ScaffoldOptions) (*sandbox.ScaffoldReport, error)
}

// newPart makes a command of a part. adding are the flags that say nothing to a removal.
func (g *global) newPart(c *cobra.Command, adding []string, p part) {
	var opts sandbox.ScaffoldOptions
	var remove bool
	c.Args = args(cobra.ExactArgs(1))
	c.RunE = func(cmd *cobra.Command, names []string) error {
		if err := fitting(cmd, remove, adding); err != nil {
			return err
		}
		if p.fits != nil {
			if err := p.fits(); err != nil {
				return usageError{err}
			}
		}
		st, err := g.state()
		if err != nil {
			return err
		}
		here, err := os.Getwd()
		if err != nil {
			return err
		}
		do := p.add
		if remove {
			do = p.remove
		}
		report, err := do(cmd.Context(), st, here, names[0], opts)
		if report != nil && (err == nil || len(report.Files) > 0) { // what was written is said, whatever came after
			err = errors.Join(err, g.print(report))
		}
		if err == nil && !report.Passed() {
			return alreadyShown{errors.New("its scenario failed")}
		}
		return err
	}
	f := c.Flags()
	f.StringVar(&opts.Workspace, "workspace", "", "the workspace (default: the sandbox's, or found from the current folder)")
	f.BoolVar(&opts.DryRun, "dry-run", false, "print a unified diff of all that would change; change nothing")
	f.BoolVar(&remove, "rm", false, "take it out again")
	f.BoolVar(&opts.Force, "force", false, "with --rm: also what was worked on since")
	g.outputFlag(c)
}

// fitting refuses flags that say nothing to what is done.
func fitting(cmd *cobra.Command, remove bool, adding []string) error {
	for _, name := range adding {
		if remove && cmd.Flags().Changed(name) {
			return usageError{fmt.Errorf("--%s has no meaning with --rm", name)}
		}
	}
	if !remove && cmd.Flags().Changed("force") {
		return usageError{errors.New("--force has a meaning only with --rm")}
	}
	return nil
}
