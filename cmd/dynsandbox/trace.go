package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
)

func newTrace(g *global) *cobra.Command {
	var list bool
	c := &cobra.Command{
		Use:   "trace [JOB|CORRELATION-ID|TRACE-ID]",
		Short: "Show what each service did for a request, and when",
		Long: `trace shows one request as a tree: a line for each thing that a service did, with its offset from the request's begin,
how long it took, and the error if it failed. It is the newest request, or the newest of a job (as the gateway's answer
and the agents' logs name it), of a data request (its correlation id) or of a trace (its id, or the first digits of it).

Services send these spans by themselves, by OpenTelemetry (OTLP) or OpenCensus, a second after they ended; of a request
that was answered just now the rest is waited for. The session keeps those of the last thousand requests in memory. A service that was killed has lost its own.`,
		Example: `  dynsandbox trace
  dynsandbox trace --list
  dynsandbox trace ann-12345678 -o json`,
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) error {
			if list && len(a) > 0 {
				return usageError{errListOrOne}
			}
			client, err := g.dial(cmd.Context())
			if err != nil {
				return err
			}
			defer client.Close()
			if list {
				traces, err := client.Traces(cmd.Context())
				if err != nil {
					return err
				}
				if g.output == "json" {
					return printJSON(g.out, traces)
				}
				return tracing.WriteList(g.out, traces)
			}
			trace, err := client.Trace(cmd.Context(), optional(a))
			if err != nil {
				return err
			}
			if g.output == "json" {
				return printJSON(g.out, trace)
			}
			return trace.WriteText(g.out)
		},
	}
	c.Flags().BoolVar(&list, "list", false, "list the requests, the newest first")
	g.outputFlag(c)
	return c
}

var errListOrOne = errors.New("--list is of all requests: name none")
