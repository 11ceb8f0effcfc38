package trace

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	otel "go.opentelemetry.io/otel/trace"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// scope names what made the spans.
const scope = "github.com/dynsandbox/dynsandbox/platform/go"

// maxErrorBytes limits the words of an error in a span: an error can hold the last words of a container.
const maxErrorBytes = 2 << 10

// Kind says what a span is to whom it hears from, or speaks to.
type Kind = otel.SpanKind

const (
	Server   = otel.SpanKindServer   // answers
	Client   = otel.SpanKindClient   // asks
	Producer = otel.SpanKindProducer // puts a message into a queue
	Consumer = otel.SpanKindConsumer // takes one from there
	Internal = otel.SpanKindInternal // neither
)

// Attribute is one thing that a span tells.
type Attribute = attribute.KeyValue

// Job is the name of an approved job.
func Job(name string) Attribute { return attribute.String("dynamos.job", name) }

// Correlation is the id of a data request at one agent. [Start] finds the context's by itself.
func Correlation(id string) Attribute { return attribute.String("dynamos.correlation", id) }

// Queue is where a message goes, or comes from.
func Queue(name string) Attribute { return attribute.String("messaging.destination.name", name) }

// KubernetesJob is the Job that runs a chain.
func KubernetesJob(name string) Attribute { return attribute.String("k8s.job.name", name) }

// Chain is what services a Job runs.
func Chain(services []string) Attribute { return attribute.StringSlice("dynamos.chain", services) }

// Agent is whom a gateway calls.
func Agent(name string) Attribute { return attribute.String("dynamos.agent", name) }

// Span is one hop of a request. Nil, which it is where no spans are made, does nothing.
type Span struct{ span otel.Span }

// Start begins a span: a child of the context's trace, or the first of a new one. It returns the context for what the hop
// does and sends. Where no spans are made the context keeps its trace, or gets a new one: chains need one.
func Start(ctx context.Context, kind Kind, name string, attributes ...Attribute) (context.Context, *Span) {
	parent, traced := rpc.TraceFrom(ctx)
	p := provider.Load()
	if p == nil {
		if !traced {
			ctx = rpc.WithTrace(ctx, rpc.NewTrace())
		}
		return ctx, nil
	}
	from := ctx
	if traced {
		from = otel.ContextWithRemoteSpanContext(ctx, spanContext(parent))
	}
	if id := logging.Correlation(ctx); id != "" {
		attributes = append(attributes, Correlation(id))
	}
	_, span := p.Tracer(scope).Start(from, name, otel.WithSpanKind(kind), otel.WithAttributes(attributes...))
	own := span.SpanContext()
	ctx = rpc.WithTrace(ctx, rpc.Trace{ID: own.TraceID(), Span: own.SpanID(), Flags: byte(own.TraceFlags())})
	s := &Span{span}
	return context.WithValue(ctx, spanKey{}, s), s
}

type spanKey struct{}

// Current is the span that [Start] began last for ctx; nil without one.
func Current(ctx context.Context) *Span {
	s, _ := ctx.Value(spanKey{}).(*Span)
	return s
}

func spanContext(t rpc.Trace) otel.SpanContext {
	return otel.NewSpanContext(otel.SpanContextConfig{
		TraceID: t.ID, SpanID: t.Span, TraceFlags: otel.TraceFlags(t.Flags), Remote: true,
	})
}

// Set adds what was learned since.
func (s *Span) Set(attributes ...Attribute) {
	if s != nil {
		s.span.SetAttributes(attributes...)
	}
}

// Link names another message that the hop worked on, beside its parent's.
func (s *Span) Link(traces map[string][]byte) {
	if t, ok := rpc.TraceOf(traces); ok && s != nil {
		s.span.AddLink(otel.Link{SpanContext: spanContext(t)})
	}
}

// End ends the span; err is why the hop failed. Only the first call counts.
func (s *Span) End(err error) {
	if s == nil {
		return
	}
	if err != nil {
		words := err.Error()
		if len(words) > maxErrorBytes {
			words = strings.ToValidUTF8(words[:maxErrorBytes], "") + " ..."
		}
		s.span.SetStatus(codes.Error, words)
	}
	s.span.End()
}

// Answered ends the span of an HTTP request, with its status and, if that is of a failure, the words of the answer.
func (s *Span) Answered(status int, words string) {
	s.Set(attribute.Int("http.response.status_code", status))
	if status < http.StatusBadRequest {
		s.End(nil)
		return
	}
	s.End(errors.New(words))
}
