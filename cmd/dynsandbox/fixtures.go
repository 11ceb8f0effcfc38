package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newFixtures(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "fixtures",
		Short: "Check the launch files, and compare or apply them",
		Long: `fixtures works on launch files: the JSON files that seed the config store (agreements, archetypes, datasets,
microservices, optional microservices, request types). DIR is a folder of such files; without it they are those of
the workspace.`,
		Example: `  dynsandbox fixtures validate --strict
  dynsandbox fixtures diff
  dynsandbox fixtures apply ./my-launch-files -o json`,
	}
	group(c)
	c.AddCommand(newFixturesValidate(g), newFixturesCompare(g, false), newFixturesCompare(g, true))
	return c
}

func newFixturesValidate(g *global) *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "validate [DIR]",
		Short: "Check launch files; needs no running sandbox",
		Long: `validate parses launch files and checks them against each other. Every problem is told with
file:line:column and, where there is one, the nearest valid thing. Warnings are names that lead nowhere and keys
that nobody reads; with --strict they are errors. What was found is the result: it goes to standard output, and errors in it are
exit status 2.`,
		Example: `  dynsandbox fixtures validate
  dynsandbox fixtures validate ./etcd_launch_files --strict -o json`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			here, err := os.Getwd()
			if err != nil {
				return err
			}
			st, err := g.state()
			if err != nil {
				return err
			}
			report, err := sandbox.ValidateFixtures(st, here, optional(a), strict)
			if err != nil {
				return err
			}
			if g.output == "json" {
				if err := printJSON(g.out, report); err != nil {
					return err
				}
			} else if err := report.WriteText(g.out); err != nil {
				return err
			}
			if !report.Valid {
				return codeError{alreadyShown{errors.New("launch files with errors")}, exitUsage}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings are errors")
	g.outputFlag(c)
	return c
}

func newFixturesCompare(g *global, apply bool) *cobra.Command {
	var strict bool
	c := &cobra.Command{
		Use:   "diff [DIR]",
		Short: "Compare launch files with the config store",
		Long: `diff prints which keys of the config store applying the launch files would add, change or remove. It changes
nothing.`,
		Example: `  dynsandbox fixtures diff
  dynsandbox fixtures diff ./etcd_launch_files -o json`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			dir, err := absolute(optional(a))
			if err != nil {
				return err
			}
			client, err := g.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			report, err := client.Fixtures(cmd.Context(), dir, apply, strict)
			if err != nil {
				return err
			}
			if g.output == "json" {
				return printJSON(g.out, report)
			}
			return report.WriteText(g.out)
		},
	}
	if apply {
		c.Use = "apply [DIR]"
		c.Short = "Apply launch files to the config store"
		c.Long = `apply checks launch files, compares them with the config store and writes what differs in one transaction: the
next request sees all of it. The files are also put where the orchestrator reads them, so that its restart doesn't
undo it. Files with errors change nothing. With a DIR the workspace's own files are back at the next up.`
		c.Example = `  dynsandbox fixtures apply
  dynsandbox fixtures apply ./etcd_launch_files -o json`
	}
	c.Flags().BoolVar(&strict, "strict", false, "warnings are errors")
	g.outputFlag(c)
	return c
}

// dial connects to the session of the sandbox that --name names.
func (g *global) dial(ctx context.Context) (*sandbox.Client, error) {
	st, err := g.state()
	if err != nil {
		return nil, err
	}
	return sandbox.Dial(ctx, st)
}

func optional(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// absolute makes a folder's path one that the session process understands too.
func absolute(dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	if info, err := os.Stat(dir); err != nil {
		return "", usageError{err}
	} else if !info.IsDir() {
		return "", usageError{fmt.Errorf("%s is not a folder", dir)}
	}
	return filepath.Abs(dir)
}

// absoluteFiles does so for those names of scenarios that are files.
func absoluteFiles(names []string) ([]string, error) {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = n
		if strings.ContainsRune(n, filepath.Separator) || strings.HasSuffix(n, ".yaml") {
			abs, err := filepath.Abs(n)
			if err != nil {
				return nil, err
			}
			out[i] = abs
		}
	}
	return out, nil
}
