// Package progress carries reports of long work from where it is done to whoever shows it.
//
// The reporter travels in the context, so that a download three calls down can say how far it is
// without every signature in between naming a screen.
package progress

import "context"

// Update is one report: what is being done, and how much of how much.
type Update struct {
	What  string `json:"what"`            // "build hyperkube", "load dynamos1/agent:main"; shown as it is
	Done  int64  `json:"done,omitempty"`  // in Unit; 0 with Total 0 when only What is known
	Total int64  `json:"total,omitempty"` // 0 when unknown
	Unit  string `json:"unit,omitempty"`  // "bytes", "steps", "s" (elapsed of expected)
}

// Func receives updates; it is called from several goroutines and must not block for long.
type Func func(Update)

type key struct{}

// With returns a context whose reports go to f.
func With(ctx context.Context, f Func) context.Context { return context.WithValue(ctx, key{}, f) }

// Report sends one update to the context's reporter, if it has one.
func Report(ctx context.Context, u Update) {
	if f, ok := ctx.Value(key{}).(Func); ok && f != nil {
		f(u)
	}
}
