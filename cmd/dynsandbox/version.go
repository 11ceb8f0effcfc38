package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versioned are the libraries whose version decides what a sandbox is made of.
var versioned = []string{
	"sigs.k8s.io/kind", "k8s.io/client-go", "go.etcd.io/etcd/server/v3", "github.com/testcontainers/testcontainers-go",
	"helm.sh/helm/v4", "github.com/moby/buildkit", "google.golang.org/grpc",
}

func newVersion(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of dynsandbox and of what it is built on",
		Long:    `version prints the version of this program, of Go, and of the libraries that decide what a sandbox is made of.`,
		Example: `  dynsandbox version -o json`,
		Args:    args(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			info, ok := debug.ReadBuildInfo()
			if !ok {
				return fmt.Errorf("this program was built without module information")
			}
			v := struct {
				Version   string            `json:"version"`
				Go        string            `json:"go"`
				Libraries map[string]string `json:"libraries"`
			}{info.Main.Version, info.GoVersion, map[string]string{}}
			for _, d := range info.Deps {
				for _, path := range versioned {
					if d.Path == path {
						v.Libraries[path] = d.Version
					}
				}
			}
			if g.output == "json" {
				return printJSON(g.out, v)
			}
			fmt.Fprintf(g.out, "dynsandbox %s (%s)\n", v.Version, v.Go)
			for _, path := range versioned {
				fmt.Fprintf(g.out, "  %s %s\n", path, v.Libraries[path])
			}
			return nil
		},
	}
	g.outputFlag(c)
	return c
}
