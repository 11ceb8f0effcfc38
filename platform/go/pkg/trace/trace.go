// Package trace makes the spans of a request: what each service did with it, when, and with what outcome. It sends them by
// OTLP over gRPC, to where the standard variables say (OTEL_EXPORTER_OTLP_ENDPOINT). Without them nothing is made or
// sent, and messages carry the trace on that they came with.
//
// A main function calls [Begin]; each hop of a request is a [Start] and an [Span.End]. The trace is the context's
// ([rpc.WithTrace]): a span is the child of whoever sent the message, and what is sent under the context that Start
// returns is its child. The context's correlation id goes into each span by itself.
//
// Nothing here may ever hold up a request: spans wait in memory for the next batch, those that find no room or no
// receiver are dropped, and only the end of a process waits for the last of them, for flushTimeout at most.
package trace

import (
	"context"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
)

const (
	// batchTimeout is how long a span waits for others. Most requests are over by then, and what sending costs in
	// processor time comes after them.
	batchTimeout = time.Second
	// flushTimeout is what the last spans get at the end of a process. The answer has gone by then, but a Pod ends later
	// for it, if whoever listens doesn't answer. If nobody listens it isn't needed. It is the rest of a Pod's grace period
	// after all that package service waits for.
	flushTimeout = 400 * time.Millisecond
	// exportTimeout is what one batch gets: while it is under way the next ones wait.
	exportTimeout = 5 * time.Second
	// reconnectDelay is the longest pause before a receiver that was away is tried again.
	reconnectDelay = 5 * time.Second
)

// provider is what [Begin] made; nil without a receiver.
var provider atomic.Pointer[sdk.TracerProvider]

// Begin makes the spans of this process be those of a service, and sends them. The function that it returns sends what is
// left and has to be called before the process ends.
func Begin(service string) (flush func()) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return func() {}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		slog.Debug("spans not sent", "error", err) // for most it is no fault that nobody listens
	}))
	// It connects when there is something to send.
	exporter, err := otlptracegrpc.New(context.Background(),
		// A batch that is not taken is gone: it would keep the next ones waiting.
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}),
		otlptracegrpc.WithDialOption(
			grpc.WithDisableServiceConfig(), // would be one more question for the DNS
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff: backoff.Config{BaseDelay: time.Second, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectDelay},
			}),
		),
	)
	if err != nil {
		slog.Warn("no spans are sent", "error", err)
		return func() {}
	}
	return BeginTo(service, sdk.NewBatchSpanProcessor(exporter,
		sdk.WithBatchTimeout(batchTimeout), sdk.WithExportTimeout(exportTimeout)))
}

// BeginTo is [Begin] with whoever gets the spans; tests put a recorder there.
func BeginTo(service string, to sdk.SpanProcessor) (flush func()) {
	own := resource.NewSchemaless(attribute.String("service.name", service))
	// The environment goes first: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES.
	all, err := resource.Merge(own, resource.Environment())
	if err != nil {
		all = own
	}
	p := sdk.NewTracerProvider(sdk.WithSpanProcessor(to), sdk.WithResource(all))
	provider.Store(p)
	return func() {
		provider.CompareAndSwap(p, nil)
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		if err := p.Shutdown(ctx); err != nil {
			slog.Debug("last spans not sent", "error", err)
		}
	}
}
