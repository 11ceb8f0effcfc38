package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newBundle(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Carry everything to a machine without a network",
		Long: `bundle puts all that a workspace's platform needs into one file, and from that file to where up finds it: the node
image, the broker, the services and what they are built on, Go modules. After loading it, up --offline works on a
machine that never had a network, and so does hot reload of Go and Python sources.`,
		Example: `  dynsandbox bundle create platform.bundle     # here
  dynsandbox bundle load platform.bundle       # there
  dynsandbox up --offline`,
	}
	group(c)
	c.AddCommand(newBundleCreate(g), newBundleLoad(g), newBundleInspect(g))
	return c
}

func newBundleCreate(g *global) *cobra.Command {
	var settings sandbox.Settings
	var debug, dryRun bool
	var buildArgs []string
	c := &cobra.Command{
		Use:   "create FILE",
		Short: "Write a bundle of a workspace",
		Long: `create builds the services of a workspace as they are now, gets what is missing of images, and writes all of it to a
file. The file appears when it is whole; an older one of that name stays until then. The workspace's own sources are
not in it: take them along. What services are built with (--debug, --build-arg) must be what up there is given.`,
		Example: `  dynsandbox bundle create platform.bundle
  dynsandbox bundle create platform.bundle --workspace ~/src/DYNAMOS --dry-run`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			settings.Debug = &debug
			if settings.BuildArgs, err = parseBuildArgs(buildArgs); err != nil {
				return err
			}
			if dryRun {
				plan, err := sandbox.PlanBundle(cmd.Context(), settings, dir)
				if err != nil {
					return err
				}
				return g.print(plan)
			}
			view := newScreen(g.err)
			b, err := sandbox.CreateBundle(progress.With(cmd.Context(), view.reporter("bundle")), files[0], settings, dir)
			view.clear()
			if err != nil {
				return err
			}
			return g.print(b)
		},
	}
	c.Flags().StringVar(&settings.Workspace, "workspace", "", "the workspace (default: found from the current folder)")
	c.Flags().BoolVar(&debug, "debug", false, "build Go services for a debugger: with DWARF, not optimised")
	c.Flags().StringArrayVar(&buildArgs, "build-arg", nil, "`KEY=VALUE` for the Dockerfiles of services; repeat it for several")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be in it; build and write nothing")
	g.outputFlag(c)
	return c
}

func newBundleLoad(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "load FILE",
		Short: "Put what a bundle holds to where up finds it",
		Long: `load reads a bundle and checks every part of it against its digest. Only when all of it is right do images get their
names in the engine and files their place in the cache. What is there already stays: loading again changes nothing.
A bundle is for one platform, the one that it was made on.`,
		Example: `  dynsandbox bundle load platform.bundle
  dynsandbox bundle load platform.bundle -o json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, files []string) error {
			view := newScreen(g.err)
			report, err := sandbox.LoadBundle(progress.With(cmd.Context(), view.reporter("bundle")), files[0])
			view.clear()
			if err != nil {
				return err
			}
			report.Loaded = append([]string{}, report.Loaded...) // an empty list, not null
			return g.print(loaded(report))
		},
	}
	g.outputFlag(c)
	return c
}

func newBundleInspect(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what a bundle holds",
		Long:  `inspect prints a bundle's list of contents. It reads only that, and needs no engine; load checks the rest.`,
		Example: `  dynsandbox bundle inspect platform.bundle
  dynsandbox bundle inspect platform.bundle -o json`,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, files []string) error {
			b, err := sandbox.InspectBundle(files[0])
			if err != nil {
				return err
			}
			return g.print(b)
		},
	}
	g.outputFlag(c)
	return c
}

// loaded is the report of a load.
type loaded images.BundleLoaded

// WriteText names the images; files are only counted.
func (l loaded) WriteText(w io.Writer) error {
	if len(l.Loaded) == 0 {
		_, err := fmt.Fprintln(w, "nothing to do: all of it is on this machine")
		return err
	}
	fresh := map[string]bool{}
	for _, name := range l.Loaded {
		fresh[name] = true
	}
	files := len(l.Loaded)
	for _, img := range l.Bundle.Images {
		if fresh[img.Ref] {
			fmt.Fprintf(w, "loaded %s\n", img.Ref)
			files--
		}
	}
	if files > 0 {
		fmt.Fprintf(w, "loaded %d files into the cache\n", files)
	}
	_, err := fmt.Fprintf(w, "%s are new, %d images and files were here\n", megabytes(l.Bytes), l.Stood)
	return err
}

// texter is a result that can be printed for people.
type texter interface{ WriteText(io.Writer) error }

// print prints a result in the way that -o asks for.
func (g *global) print(v texter) error {
	if g.output == "json" {
		return printJSON(g.out, v)
	}
	return v.WriteText(g.out)
}
