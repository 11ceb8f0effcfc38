// Package logging makes the logger of a service: begin with [New], and give requests' contexts their correlation id
// with [WithCorrelation], so that each line of a request says which one it belongs to.
package logging

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"
)

// New is the logger of a service, which writes to standard output: that is where the platform's containers log. It
// writes text, or JSON if LOG_FORMAT is "json"; LOG_LEVEL is "debug", "info" (the default), "warn" or "error".
func New(service string) *slog.Logger {
	return newLogger(os.Stdout, service, os.Getenv("LOG_FORMAT"), os.Getenv("LOG_LEVEL"))
}

func newLogger(w io.Writer, service, format, level string) *slog.Logger {
	var options slog.HandlerOptions
	var lowest slog.Level
	if lowest.UnmarshalText([]byte(level)) == nil {
		options.Level = lowest
	}
	var handler slog.Handler = slog.NewTextHandler(w, &options)
	if strings.EqualFold(format, "json") {
		handler = slog.NewJSONHandler(w, &options)
	}
	return slog.New(correlated{handler}).With("service", service)
}

type correlationKey struct{}

// WithCorrelation gives ctx the correlation id of a data request.
func WithCorrelation(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, correlationKey{}, id)
}

// Correlation is the id that [WithCorrelation] gave ctx; empty without.
func Correlation(ctx context.Context) string {
	id, _ := ctx.Value(correlationKey{}).(string)
	return id
}

// correlated adds the context's correlation id to each record.
type correlated struct{ slog.Handler }

func (h correlated) Handle(ctx context.Context, record slog.Record) error {
	if id := Correlation(ctx); id != "" {
		record = record.Clone()
		record.AddAttrs(slog.String("correlation", id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return correlated{h.Handler.WithAttrs(attrs)}
}

func (h correlated) WithGroup(name string) slog.Handler { return correlated{h.Handler.WithGroup(name)} }
