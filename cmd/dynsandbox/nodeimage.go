package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/cluster/nodeimage"
	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newNodeImage(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "node-image",
		Short: "Build, list and remove the cluster's node image",
		Long: `node-image works on the image that the cluster's node runs. Where kind's own (kindest/node) is in the engine or can
be pulled, it is used; otherwise one is built here from Debian packages and Go modules. Its name tells the
Kubernetes version and the hash of everything that goes into it, its parts are kept in the cache, and a build that
was broken off goes on at the first missing part.`,
		Example: `  dynsandbox node-image build
  dynsandbox node-image ls -o json
  dynsandbox node-image rm`,
	}
	group(c)
	c.AddCommand(newNodeImageBuild(g), newNodeImageList(g), newNodeImageRemove(g))
	return c
}

// nodeImages runs f with a builder of node images; the output of its tools goes to log.
func (g *global) nodeImages(cmd *cobra.Command, log io.Writer, f func(*nodeimage.Builder) error) error {
	b, done, err := sandbox.NodeImages(cmd.Context(), log)
	if err != nil {
		return err
	}
	return errors.Join(f(b), done())
}

func newNodeImageBuild(g *global) *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "build",
		Short: "Build the node image, unless the engine has it",
		Long: `build makes the node image from Debian packages and Go modules. With nothing cached it takes about fifteen minutes
on two cores; Ctrl-C loses only the part that was being made.`,
		Example: `  dynsandbox node-image build
  dynsandbox node-image build --verbose`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var log io.Writer
			if verbose {
				log = g.err
			}
			return g.nodeImages(cmd, log, func(b *nodeimage.Builder) error {
				view := newScreen(g.err)
				ref, err := b.Build(progress.With(cmd.Context(), view.reporter("node-image")))
				view.clear()
				if err != nil {
					return err
				}
				if g.output == "json" {
					return printJSON(g.out, map[string]string{"ref": ref})
				}
				fmt.Fprintln(g.out, ref)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&verbose, "verbose", false, "show the output of the tools")
	g.outputFlag(c)
	return c
}

func newNodeImageList(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List the node images that were built here",
		Long:    `ls lists the node images in the engine that were built here, by any version of this program.`,
		Example: `  dynsandbox node-image ls -o json`,
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.nodeImages(cmd, nil, func(b *nodeimage.Builder) error {
				list, err := b.List(cmd.Context())
				if err != nil {
					return err
				}
				if g.output == "json" {
					return printJSON(g.out, list)
				}
				t := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "IMAGE\tSIZE\tCREATED\t")
				for _, i := range list {
					current := ""
					if i.Current {
						current = "current"
					}
					fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", i.Ref, megabytes(i.Size), i.Created.Format("2006-01-02 15:04"), current)
				}
				return t.Flush()
			})
		},
	}
	g.outputFlag(c)
	return c
}

func newNodeImageRemove(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "rm [IMAGE...]",
		Short: "Remove node images that were built here",
		Long: `rm removes the node images that are named, or without a name all but the current one. One that a container uses
stays. The parts in the cache stay too, so that a build takes about a minute.`,
		Example: `  dynsandbox node-image rm
  dynsandbox node-image rm dynsandbox/node:v1.37.2-0123456789ab`,
		RunE: func(cmd *cobra.Command, refs []string) error {
			return g.nodeImages(cmd, nil, func(b *nodeimage.Builder) error {
				removed, err := b.Remove(cmd.Context(), refs...)
				if g.output == "json" {
					// append: an empty list where nothing was removed, not null
					return errors.Join(printJSON(g.out, map[string][]string{"removed": append([]string{}, removed...)}), err)
				}
				for _, r := range removed {
					fmt.Fprintln(g.out, "removed", r)
				}
				if len(removed) == 0 && err == nil {
					fmt.Fprintln(g.out, "nothing to remove")
				}
				return err
			})
		},
	}
	g.outputFlag(c)
	return c
}
