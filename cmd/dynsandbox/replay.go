package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newReplay(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "replay [SCENARIO...]",
		Short: "Replay request scenarios through the platform",
		Long: `replay sends the requests of scenarios through the gateway, and so through the whole chain, and compares the
answers with what the scenarios expect. A scenario is named by its name or its file; without one, all of the
workspace's scenarios/ folder are run, in the order of their file names.`,
		Example: `  dynsandbox replay
  dynsandbox replay compute-to-data
  dynsandbox replay ./my-scenario.yaml -o json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			client, err := g.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			names, err = absoluteFiles(names)
			if err != nil {
				return err
			}
			report, err := client.Replay(cmd.Context(), names)
			if err != nil {
				return err
			}
			if g.output == "json" {
				err = printJSON(g.out, report)
			} else {
				err = report.WriteText(g.out)
			}
			if err == nil && !report.Passed {
				return alreadyShown{errors.New("a scenario failed")}
			}
			return err
		},
	}
	g.outputFlag(c)
	return c
}
