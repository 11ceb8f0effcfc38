package tracing

import (
	"context"
	"time"
)

const (
	// quiet is how long nothing more of a request arrives when all has: services send a second after a span has ended.
	quiet = 1200 * time.Millisecond
	// settleTimeout bounds the wait for the rest of a request, which may be under way still.
	settleTimeout = 3 * time.Second
)

// Settled is [Store.Find] for somebody who asks right after a request: it waits until all spans of it have arrived, as far as
// can be told, and no longer than a few seconds.
func (st *Store) Settled(ctx context.Context, of string) (*Trace, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	for {
		arrived := st.arrival()
		trace, err := st.Find(of)
		rest := settleTimeout // of the wait; what nobody has heard of may be about to come
		if err == nil {
			if rest = quiet - time.Since(trace.heard); rest <= 0 {
				return trace, nil
			}
		}
		late := time.NewTimer(rest)
		select {
		case <-arrived:
		case <-late.C:
		case <-ctx.Done():
			late.Stop()
			return trace, err
		}
		late.Stop()
	}
}
