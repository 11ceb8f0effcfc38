// Package tracetest records the spans of a test. Begin with [Record].
package tracetest

import (
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	sdktest "go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// Recorder has the spans of one test.
type Recorder struct{ spans *sdktest.SpanRecorder }

// Record has all spans of the process recorded until the test ends. Such a test can't be parallel.
func Record(t *testing.T) *Recorder {
	t.Helper()
	t.Setenv("TRACETEST", "") // fails in a parallel test
	r := &Recorder{sdktest.NewSpanRecorder()}
	t.Cleanup(trace.BeginTo("test", r.spans))
	return r
}

// patience is how long a span that a goroutine ends is waited for.
const patience = 5 * time.Second

// Ended waits for n spans of a name, and returns them in the order of their end.
func (r *Recorder) Ended(t *testing.T, name string, n int) []sdk.ReadOnlySpan {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var found []sdk.ReadOnlySpan
		for _, span := range r.spans.Ended() {
			if span.Name() == name {
				found = append(found, span)
			}
		}
		if len(found) >= n {
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d spans %q have ended, want %d", len(found), name, n)
		}
	}
}
