// Package tracing takes the spans that a platform's services send, and shows those of a request as a tree.
//
// A [Store] keeps the spans, in memory alone and within [Limits]. [Listen] opens the receivers that fill it: OTLP over gRPC,
// and OpenCensus, at one address and the two ports that DYNAMOS has compiled in. [Store.Find] finds a request by whatever one
// knows of it, and [Trace.WriteText] prints it.
//
// Spans come in any order, from several processes, and some never do. So a trace is whatever of it has arrived, and whoever
// sends is never told that something was wrong with it: a receiver must not disturb what it watches.
//
// The package knows no sandbox.
package tracing
