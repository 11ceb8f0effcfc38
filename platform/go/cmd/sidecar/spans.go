package main

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// received begins the span of a delivery, which ends when somebody has the message. traces are the message's.
func received(ctx context.Context, traces map[string][]byte, d *amqp.Delivery) (context.Context, *trace.Span) {
	if sent, ok := rpc.TraceOf(traces); ok {
		ctx = rpc.WithTrace(ctx, sent)
	}
	if id := d.CorrelationId; id != "" {
		ctx = logging.WithCorrelation(ctx, id)
	}
	return trace.Start(ctx, trace.Consumer, "receive "+d.Type, trace.Queue(d.RoutingKey))
}

// passOn puts the context's trace into a message's traces, in the forms that it came in: without any its receiver has to
// know that it has lost its trace.
func passOn(ctx context.Context, traces map[string][]byte) {
	for form, present := range rpc.TracesOf(ctx) {
		if _, ok := traces[form]; ok {
			traces[form] = present
		}
	}
}
