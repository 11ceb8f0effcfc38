package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox"
)

func newUp(g *global) *cobra.Command {
	var opts sandbox.UpOptions
	var settings sandbox.Settings
	var attach, dryRun, offline, debug, mount bool
	var nodeImage string
	var buildArgs []string
	c := &cobra.Command{
		Use:   "up",
		Short: "Bring the platform up, or to its desired state",
		Long: `up brings the platform of a workspace up on this machine and returns when it is ready, with the result of one
scenario. What is there already is kept: run again on a running sandbox it changes nothing, and after Ctrl-C,
a kill or a reboot it goes on where it stopped.

The workspace is a folder laid out like a DYNAMOS checkout. By default it is the one that this folder lies in, or
its platform/ folder (the reference platform); a sandbox keeps its workspace until it is purged.

Its services are go/cmd/NAME, python/NAME, and any X/NAME with a Dockerfile or a dynsandbox.yaml:

  build: ["make", "image"]   # a command, run in that folder, with DYNSANDBOX_IMAGE set to the image's name
  image: acc/matcher:dev     # what it leaves in the engine (default: the service's name), or
  oci: out/oci               # the folder of the OCI layout that it leaves instead
  ignore: [target]           # files whose change builds nothing: what the command writes

--mount, --debug, --build-arg, --offline, --port, --node-image and --nodes are remembered until they are given again, or the
sandbox is purged. A cluster keeps the node image and the number of nodes that it was made with. For others make it anew,
and give with it what else is not to be forgotten: down --purge, then up --nodes 3.

The work is done by a session process in the background, which stays and owns the config store. Ctrl-C asks it to
stop at a safe point; a second Ctrl-C leaves at once. With --attach, Ctrl-C after that only detaches.`,
		Example: `  dynsandbox up
  dynsandbox up --workspace ~/src/DYNAMOS --name upstream
  dynsandbox up -o json --no-scenario
  dynsandbox up --offline --dry-run`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if p := settings.HTTPPort; cmd.Flags().Changed("port") && (p < 1 || p > 65535) {
				return usageError{fmt.Errorf("--port %d: a port is a number from 1 to 65535", p)}
			}
			if n := settings.Nodes; cmd.Flags().Changed("nodes") && (n < 1 || n > sandbox.MaxNodes) {
				return usageError{fmt.Errorf("--nodes %d: a cluster has 1 to %d nodes", n, sandbox.MaxNodes)}
			}
			st, err := g.state()
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("node-image") {
				settings.NodeImage = &nodeImage
			}
			if cmd.Flags().Changed("offline") {
				settings.Offline = &offline
			}
			if cmd.Flags().Changed("mount") {
				settings.Mount = &mount
			}
			if cmd.Flags().Changed("debug") {
				settings.Debug = &debug
			}
			if cmd.Flags().Changed("build-arg") {
				if settings.BuildArgs, err = parseBuildArgs(buildArgs); err != nil {
					return err
				}
			}
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			if dryRun {
				plan, err := sandbox.DryRun(cmd.Context(), st, settings, dir, opts.Strict)
				if err != nil {
					return err
				}
				if g.output == "json" {
					err = printJSON(g.out, plan)
				} else {
					err = plan.WriteText(g.out)
				}
				if err == nil && len(plan.Lacks) > 0 {
					err = &sandbox.LacksError{Lacks: plan.Lacks}
				}
				return err
			}
			return g.up(cmd.Context(), st, settings, dir, opts, attach)
		},
	}
	f := c.Flags()
	f.StringVar(&settings.Workspace, "workspace", "", "the workspace (default: found from the current folder)")
	f.StringVar(&nodeImage, "node-image", "", "node image of the cluster (default: what kind pins, or one built here)")
	f.IntVar(&settings.Nodes, "nodes", 0, "how many nodes the cluster has when it is made, the control plane included (default: 1)")
	f.BoolVar(&offline, "offline", false, "use no network; say what is missing before anything is started")
	f.BoolVar(&mount, "mount", false, "mount binaries and sources from this machine into the Pods: the fastest reloads")
	f.BoolVar(&debug, "debug", false, "build Go services for a debugger: with DWARF, not optimised")
	f.StringArrayVar(&buildArgs, "build-arg", nil, "`KEY=VALUE` for the Dockerfiles of services; repeat it for several, '' takes all back")
	f.IntVar(&settings.HTTPPort, "port", 0, "loopback port of the HTTP entry (default: 8080, or a free one)")
	f.BoolVar(&opts.Strict, "strict", false, "refuse launch files that only have warnings")
	f.BoolVar(&opts.NoScenario, "no-scenario", false, "leave out the scenario at the end")
	f.BoolVar(&opts.NoWatch, "no-watch", false, "don't reload when the workspace's files change")
	f.BoolVar(&attach, "attach", false, "stay, and show what happens in the session")
	f.BoolVar(&dryRun, "dry-run", false, "check the workspace and say what would be brought up; change nothing")
	g.outputFlag(c)
	return c
}

// parseBuildArgs reads the values of --build-arg. The whole set replaces the one before.
func parseBuildArgs(given []string) (map[string]string, error) {
	args := map[string]string{}
	for _, arg := range given {
		key, value, ok := strings.Cut(arg, "=")
		switch {
		case arg == "":
		case !ok || key == "":
			return nil, usageError{fmt.Errorf("--build-arg %q: it has the form KEY=VALUE", arg)}
		default:
			args[key] = value
		}
	}
	return args, nil
}

func (g *global) up(ctx context.Context, st sandbox.State, settings sandbox.Settings, dir string, opts sandbox.UpOptions, attach bool) error {
	if err := sandbox.Configure(st, settings, dir); err != nil {
		return err
	}
	client, err := sandbox.Ensure(ctx, st)
	if err != nil {
		return err
	}
	defer client.Close()
	return g.follow(ctx, client, opts, attach)
}

// follow shows a bring-up until the platform is ready, and with attach what happens in the session after it.
func (g *global) follow(ctx context.Context, client *sandbox.Client, opts sandbox.UpOptions, attach bool) error {
	view := newScreen(g.err)
	began := time.Now()

	// The showing goes on while the session comes to a safe point.
	showing, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	unwatch := context.AfterFunc(ctx, func() {
		view.note("stopping at a safe point (Ctrl-C again leaves at once)")
		if running, err := client.CancelUp(showing); err != nil || !running {
			leave()
		}
	})
	view.tick()
	summary, err := client.Up(showing, opts, view.show)
	unwatch() // from here on Ctrl-C only leaves: a later bring-up is somebody else's
	view.clear()
	if err != nil {
		return err
	}
	if summary == nil {
		return errors.New("the session ended the bring-up without saying what came of it")
	}
	if g.output == "json" {
		if err := printJSON(g.out, summary); err != nil {
			return err
		}
	} else if err := summary.WriteText(g.out, time.Since(began)); err != nil {
		return err
	}
	if attach {
		err := client.Events(ctx, view.show)
		view.clear()
		if err != nil && ctx.Err() == nil { // Ctrl-C only detaches: the sandbox goes on
			return err
		}
	}
	if failed := summary.Failed(); failed != nil {
		return alreadyShown{failed}
	}
	return nil
}
