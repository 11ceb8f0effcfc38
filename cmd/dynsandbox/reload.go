package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

func newReload(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "reload [SERVICE...]",
		Short: "Build services anew and bring what differs into the running platform",
		Long: `reload does by hand what a saved file does by itself while the sandbox watches its workspace: it builds services
(when none is named all of them, and launch files and charts are applied before), loads what differs into the cluster, and restarts in place what runs all the time. A
service of Jobs is run by the next request. What can't be built or doesn't start leaves the last good version running.`,
		Example: `  dynsandbox reload
  dynsandbox reload sql-algorithm`,
		RunE: func(cmd *cobra.Command, services []string) error {
			client, err := g.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Reload(cmd.Context(), services, newScreen(g.out).show)
		},
	}
}

func newEvents(g *global) *cobra.Command {
	c := &cobra.Command{
		Use:     "events",
		Aliases: []string{"attach"},
		Short:   "Show what happens in the sandbox, from now on",
		Long: `events shows what happens in the session from now on: files that change, what is built, loaded and restarted for it
and how long it took, bring-ups that others begin. Ctrl-C only ends the showing.

With -o json every event is one line: time, kind, and where they apply phase, service, file, text, seconds.`,
		Example: `  dynsandbox events
  dynsandbox events -o json`,
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			show := newScreen(g.out).show
			if g.output == "json" {
				show = func(e *control.Event) { printEvent(g.out, e) }
			}
			err = client.Events(cmd.Context(), show)
			if cmd.Context().Err() != nil {
				return nil // Ctrl-C
			}
			return err
		},
	}
	g.outputFlag(c)
	return c
}

// eventLine is an event as scripts see it.
type eventLine struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"` // changed, built, loaded, reloaded, refused; of a bring-up: started, progress, done, met, failed, stopped, ready; note
	Phase   string    `json:"phase,omitempty"`
	Service string    `json:"service,omitempty"`
	File    string    `json:"file,omitempty"`
	Text    string    `json:"text,omitempty"`
	Seconds float64   `json:"seconds,omitempty"`
}

func printEvent(w io.Writer, e *control.Event) {
	b, err := json.Marshal(eventLine{
		time.UnixMilli(e.UnixMs), strings.ToLower(e.Kind.String()), e.Phase, e.Service, e.File, e.Text, e.Seconds,
	})
	if err == nil {
		fmt.Fprintf(w, "%s\n", b)
	}
}

func newWait(g *global) *cobra.Command {
	var what string
	c := &cobra.Command{
		Use:   "wait [SERVICE] --for=reloaded",
		Short: "Wait until the files as they are now are what runs",
		Long: `wait returns when every change of a file that was saved before is in the running platform: of one service, or of
everything. It fails when a change was refused, because it doesn't compile or doesn't start, and when nothing brings the
changes in, because the workspace isn't watched. Whether a service of Jobs starts is seen only in its first request: when it
dies there, a wait after that request fails.`,
		Example: `  dynsandbox wait sql-algorithm --for=reloaded
  dynsandbox wait --for=reloaded && dynsandbox replay`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if what != "reloaded" {
				return usageError{fmt.Errorf("--for=%s: there is only reloaded", what)}
			}
			client, err := g.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			return client.Await(cmd.Context(), optional(a))
		},
	}
	c.Flags().StringVar(&what, "for", "reloaded", "what to wait for: reloaded")
	return c
}
