package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newDown(g *global) *cobra.Command {
	var purge bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop the sandbox; with --purge, remove it",
		Long: `down stops the session process, the cluster and the broker. Everything stays as it is on disk: a later up
resumes with the same data.

With --purge it removes the sandbox: its containers with their volumes, its network and its state folder,
found by their labels, and nothing else. What is shared by sandboxes and slow to make (the node image, bases, services'
images, build caches) stays: see node-image rm.`,
		Example: `  dynsandbox down
  dynsandbox down --purge
  dynsandbox down --purge --name upstream -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := g.state()
			if err != nil {
				return err
			}
			view := newScreen(g.err)
			ctx := progress.With(cmd.Context(), view.reporter("down"))
			report, err := sandbox.Down(ctx, st, purge)
			view.clear()
			if err != nil {
				return err
			}
			if g.output == "json" {
				return printJSON(g.out, report)
			}
			for _, line := range report.Lines() {
				fmt.Fprintln(g.out, line)
			}
			return nil
		},
	}
	c.Flags().BoolVar(&purge, "purge", false, "remove everything that belongs to this sandbox")
	g.outputFlag(c)
	return c
}
