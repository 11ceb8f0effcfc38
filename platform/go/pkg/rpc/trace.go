package rpc

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
)

// The names under which messages carry their trace.
const (
	BinaryTrace = "binaryTrace" // 29 bytes, see [Trace.Binary]
	JSONTrace   = "jsonTrace"   // see [Trace.JSON]
)

// Trace is the place of a message in a distributed trace.
type Trace struct {
	ID    [16]byte // of the whole request
	Span  [8]byte  // of the operation that sent the message
	Flags byte     // 1: sampled
}

// NewTrace is the trace of a new request, sampled.
func NewTrace() Trace {
	t := Trace{Flags: 1}
	_, _ = rand.Read(t.ID[:]) // crypto/rand never fails
	_, _ = rand.Read(t.Span[:])
	return t
}

// The binary form: a version, then fields, each after its number.
const (
	binaryLength = 29
	idAt         = 2
	spanAt       = 19
	flagsAt      = 28
)

// Binary is the trace in OpenCensus's binary form: 00, 00 and the trace id, 01 and the span id, 02 and the flags.
func (t Trace) Binary() []byte {
	b := make([]byte, 0, binaryLength)
	b = append(b, 0, 0)
	b = append(b, t.ID[:]...)
	b = append(b, 1)
	b = append(b, t.Span[:]...)
	return append(b, 2, t.Flags)
}

// JSON is the trace as {"SpanID":"<16 hex digits>","TraceID":"<32 hex digits>"}.
func (t Trace) JSON() []byte {
	return []byte(`{"SpanID":"` + hex.EncodeToString(t.Span[:]) + `","TraceID":"` + hex.EncodeToString(t.ID[:]) + `"}`)
}

// Traces is the trace in both forms, as messages of a chain carry it.
func (t Trace) Traces() map[string][]byte {
	return map[string][]byte{BinaryTrace: t.Binary(), JSONTrace: t.JSON()}
}

// TraceOf is the trace that a message's traces hold, in either form. False if there is none that is valid.
func TraceOf(traces map[string][]byte) (Trace, bool) {
	if t, ok := parseBinary(traces[BinaryTrace]); ok {
		return t, true
	}
	return parseJSON(traces[JSONTrace])
}

func parseBinary(b []byte) (t Trace, ok bool) {
	if len(b) != binaryLength || b[0] != 0 || b[idAt-1] != 0 || b[spanAt-1] != 1 || b[flagsAt-1] != 2 {
		return Trace{}, false
	}
	copy(t.ID[:], b[idAt:])
	copy(t.Span[:], b[spanAt:])
	t.Flags = b[flagsAt]
	return t, t.valid()
}

func parseJSON(b []byte) (t Trace, ok bool) {
	var ids struct{ TraceID, SpanID string }
	if err := json.Unmarshal(b, &ids); err != nil {
		return Trace{}, false
	}
	if !parseHex(t.ID[:], ids.TraceID) || !parseHex(t.Span[:], ids.SpanID) {
		return Trace{}, false
	}
	t.Flags = 1
	return t, t.valid()
}

func parseHex(into []byte, text string) bool {
	b, err := hex.DecodeString(text)
	return err == nil && copy(into, b) == len(into) && len(b) == len(into)
}

// valid says whether both ids are set: all zeros means none.
func (t Trace) valid() bool { return t.ID != [16]byte{} && t.Span != [8]byte{} }

type traceKey struct{}

// WithTrace gives ctx a trace. Calls made with it carry the trace to the other end.
func WithTrace(ctx context.Context, t Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

// TraceFrom is the trace that [WithTrace], or the caller of an RPC, gave ctx.
func TraceFrom(ctx context.Context) (Trace, bool) {
	t, ok := ctx.Value(traceKey{}).(Trace)
	return t, ok
}

// TracesOf are the traces of a message that is sent under ctx, as messages of a chain carry them. Empty if ctx has no trace.
func TracesOf(ctx context.Context) map[string][]byte {
	if t, ok := TraceFrom(ctx); ok {
		return t.Traces()
	}
	return nil
}

// BinaryOf is the same as the metadata of other requests carry it: in the one form alone.
func BinaryOf(ctx context.Context) map[string][]byte {
	if t, ok := TraceFrom(ctx); ok {
		return map[string][]byte{BinaryTrace: t.Binary()}
	}
	return nil
}
