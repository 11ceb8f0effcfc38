package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

func newSetup(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "setup",
		Short: "Make sure that a Docker engine answers",
		Long: `setup installs a Docker engine where there is none (on Debian and Ubuntu, as root) and starts it where none
answers, with systemd or without. Elsewhere it says what to install. Where an engine answers it does nothing.`,
		Example: `  sudo dynsandbox setup
  dynsandbox setup -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			view := newScreen(g.err)
			notes, err := engine.Setup(progress.With(cmd.Context(), view.reporter("setup")), nil)
			view.clear()
			if g.output == "json" {
				// What was done before an error is part of the result; append: an empty list, not null
				return errors.Join(printJSON(g.out, map[string][]string{"done": append([]string{}, notes...)}), err)
			}
			for _, n := range notes {
				fmt.Fprintln(g.out, n)
			}
			return err
		},
	}
	g.outputFlag(c)
	return c
}
