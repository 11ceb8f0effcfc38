package main

import (
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

// newSession is the background process that up starts; people have no use for it.
func newSession(g *global) *cobra.Command {
	return &cobra.Command{
		Use:    "session",
		Hidden: true,
		Args:   args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := g.state()
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(g.err, nil))
			slog.SetDefault(log)
			return sandbox.Serve(cmd.Context(), st, log)
		},
	}
}
