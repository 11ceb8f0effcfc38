package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

// defaultName is the sandbox that is meant without --name.
func defaultName() string {
	if n := os.Getenv("DYNSANDBOX_NAME"); n != "" {
		return n
	}
	return sandbox.DefaultName
}

func newEnv(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "env",
		Short: "Print what other tools need to reach the sandbox",
		Long: `env prints shell assignments: KUBECONFIG for kubectl and its kin, ETCDCTL_ENDPOINTS for etcdctl, DYNSANDBOX_URL for
the gateway. Your own kubeconfig and its current context are never touched. While no session runs they are printed too, and it says
that nothing answers there (exit status 3).`,
		Example: `  eval "$(dynsandbox env)"
  dynsandbox env -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := g.state()
			if err != nil {
				return err
			}
			vars, err := sandbox.Environment(st)
			if err != nil {
				return err
			}
			if g.output == "json" {
				m := map[string]string{}
				for _, v := range vars {
					m[v.Name] = v.Value
				}
				if err := printJSON(g.out, m); err != nil {
					return err
				}
			} else {
				for _, v := range vars {
					fmt.Fprintf(g.out, "export %s='%s'\n", v.Name, strings.ReplaceAll(v.Value, "'", `'\''`))
				}
			}
			client, err := sandbox.Dial(cmd.Context(), st)
			if err != nil {
				return fmt.Errorf("nothing answers at these addresses: %w", err)
			}
			return client.Close()
		},
	}
	g.outputFlag(c)
	return c
}
