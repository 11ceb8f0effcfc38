package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newDoctor(g *global) *cobra.Command {
	var workspace string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what would keep the platform from running",
		Long: `doctor looks at the machine's tools and at the workspace's files, and changes nothing:

  engine     a Docker engine answers
  go         Go is there, for Go services
  workspace  launch files, charts and scenarios, as up reads them; no command was killed while it wrote to them
  python     no requirements.txt pins a protobuf or grpcio that the messages' generated code doesn't run with, or that
             the Python library doesn't take

No sandbox is needed.`,
		Example: `  dynsandbox doctor
  dynsandbox doctor --workspace ~/src/DYNAMOS -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := g.state()
			if err != nil {
				return err
			}
			here, err := os.Getwd()
			if err != nil {
				return err
			}
			report := sandbox.Doctor(cmd.Context(), st, here, workspace)
			err = report.Err()
			if err != nil {
				err = alreadyShown{err}
			}
			return errors.Join(g.print(report), err)
		},
	}
	c.Flags().StringVar(&workspace, "workspace", "", "the workspace (default: the sandbox's, or found from the current folder)")
	g.outputFlag(c)
	return c
}
