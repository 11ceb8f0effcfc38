package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newVenv(g *global) *cobra.Command {
	var opts sandbox.VenvOptions
	c := &cobra.Command{
		Use:   "venv [SERVICE]",
		Short: "Make a virtual environment in which a Python service runs and is tested",
		Long: `venv makes a virtual environment with the workspace's Python library, the versions that this needs, and what the
service's requirements.txt asks for: python/SERVICE/.venv, or without a name python/.venv for all services. What
python/requirements-dev.txt asks for comes along, so that tests run, or else pytest. The library is used from where it lies.

Where nothing of that has changed, files that these include or read among it, it does nothing. One that was made here of
something else is made anew; into one that you made the packages are installed.`,
		Example: `  dynsandbox venv sql-query && source platform/python/sql-query/.venv/bin/activate
  dynsandbox venv --dry-run`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, names []string) error {
			st, err := g.state()
			if err != nil {
				return err
			}
			here, err := os.Getwd()
			if err != nil {
				return err
			}
			service := ""
			if len(names) > 0 {
				service = names[0]
			}
			view := newScreen(g.err)
			report, err := sandbox.Venv(progress.With(cmd.Context(), view.reporter("venv")), st, here, service, opts)
			view.clear()
			if err != nil {
				return err
			}
			return g.print(report)
		},
	}
	f := c.Flags()
	f.StringVar(&opts.Workspace, "workspace", "", "the workspace (default: the sandbox's, or found from the current folder)")
	f.StringVar(&opts.Python, "python", "python3", "the `INTERPRETER` that it is made with")
	f.BoolVar(&opts.DryRun, "dry-run", false, "tell what would be made; change nothing")
	g.outputFlag(c)
	return c
}
