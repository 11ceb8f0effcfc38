package rpc

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// golden is a trace in the two forms that other implementations read and write.
const (
	goldenBinary = "0000" + "0102030405060708090a0b0c0d0e0f10" + "01" + "a1a2a3a4a5a6a7a8" + "02" + "01"
	goldenJSON   = `{"SpanID":"a1a2a3a4a5a6a7a8","TraceID":"0102030405060708090a0b0c0d0e0f10"}`
)

var golden = Trace{
	ID:    [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
	Span:  [8]byte{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8},
	Flags: 1,
}

func TestTraceForms(t *testing.T) {
	t.Parallel()
	if got := hex.EncodeToString(golden.Binary()); got != goldenBinary {
		t.Errorf("binary = %s, want %s", got, goldenBinary)
	}
	if got := string(golden.JSON()); got != goldenJSON {
		t.Errorf("json = %s, want %s", got, goldenJSON)
	}
}

func TestTraceOf(t *testing.T) {
	t.Parallel()
	edit := func(at int, value byte) []byte {
		b := golden.Binary()
		b[at] = value
		return b
	}
	for _, test := range []struct {
		name   string
		traces map[string][]byte
		want   Trace
		ok     bool
	}{
		{"none", nil, Trace{}, false},
		{"binary", map[string][]byte{BinaryTrace: golden.Binary()}, golden, true},
		{"json", map[string][]byte{JSONTrace: []byte(goldenJSON)}, golden, true},
		{"binary goes first", map[string][]byte{BinaryTrace: edit(2, 9), JSONTrace: []byte(goldenJSON)}, Trace{[16]byte{9, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, golden.Span, 1}, true},
		{"bad binary, good json", map[string][]byte{BinaryTrace: {1}, JSONTrace: []byte(goldenJSON)}, golden, true},
		{"not sampled", map[string][]byte{BinaryTrace: edit(28, 0)}, Trace{golden.ID, golden.Span, 0}, true},
		{"too short", map[string][]byte{BinaryTrace: golden.Binary()[:28]}, Trace{}, false},
		{"too long", map[string][]byte{BinaryTrace: append(golden.Binary(), 0)}, Trace{}, false},
		{"another version", map[string][]byte{BinaryTrace: edit(0, 1)}, Trace{}, false},
		{"another field", map[string][]byte{BinaryTrace: edit(18, 7)}, Trace{}, false},
		{"trace id of zeros", map[string][]byte{BinaryTrace: append(append([]byte{0, 0}, make([]byte, 16)...), golden.Binary()[18:]...)}, Trace{}, false},
		{"json with a short id", map[string][]byte{JSONTrace: []byte(`{"SpanID":"a1","TraceID":"0102"}`)}, Trace{}, false},
		{"json with a long id", map[string][]byte{JSONTrace: []byte(`{"SpanID":"a1a2a3a4a5a6a7a8","TraceID":"0102030405060708090a0b0c0d0e0f1011"}`)}, Trace{}, false},
		{"no json", map[string][]byte{JSONTrace: []byte(`x`)}, Trace{}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, ok := TraceOf(test.traces)
			if ok != test.ok || ok && got != test.want {
				t.Errorf("got %+v, %v, want %+v, %v", got, ok, test.want, test.ok)
			}
		})
	}
}

func TestNewTraceIsItsOwn(t *testing.T) {
	t.Parallel()
	a, b := NewTrace(), NewTrace()
	if a.ID == b.ID || a.Span == b.Span {
		t.Errorf("two new traces share an id: %+v, %+v", a, b)
	}
	if got, ok := TraceOf(a.Traces()); !ok || got != a {
		t.Errorf("trace %+v came back as %+v, %v", a, got, ok)
	}
	if bytes.Equal(a.Binary(), b.Binary()) {
		t.Error("binary forms are equal")
	}
}
