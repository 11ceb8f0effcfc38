package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newStatus(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "status",
		Short: "Tell what runs: phases, services and their images, endpoints",
		Long: `status lists the phases of the last bring-up, every service with the image that runs and the newest one, the
agents that are online and the addresses at which the platform answers. A service whose running image isn't the
newest is marked stale. It also tells which changes are under way, since when and what they wait for, which were refused and why,
and what images take of the node's disk. No secret is in it.

For scripts: the exit status is 0 when the platform is ready, 1 when the last bring-up failed, and 3 when the
sandbox isn't running or not ready yet.`,
		Example: `  dynsandbox status
  dynsandbox status -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := g.state()
			if err != nil {
				return err
			}
			status, err := sandbox.GetStatus(cmd.Context(), st)
			if err != nil {
				return err
			}
			if g.output == "json" {
				err = printJSON(g.out, status)
			} else {
				err = status.WriteText(g.out)
			}
			if err != nil {
				return err
			}
			switch status.State {
			case sandbox.StateReady:
				return nil
			case sandbox.StateFailed:
				return codeError{alreadyShown{errors.New("the last bring-up failed")}, exitFailed}
			}
			return codeError{alreadyShown{errors.New("not ready")}, exitNoSandbox}
		},
	}
	g.outputFlag(c)
	return c
}
