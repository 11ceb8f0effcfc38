package logging

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := newLogger(&out, "agent", "json", "").With("agent", "UVA")
	log.InfoContext(WithCorrelation(t.Context(), "C1"), "sent")
	log.DebugContext(t.Context(), "not at this level")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	for key, want := range map[string]string{"service": "agent", "agent": "UVA", "correlation": "C1", "msg": "sent"} {
		if line[key] != want {
			t.Errorf("%s = %v, want %s", key, line[key], want)
		}
	}
}

func TestTextWithoutCorrelationAtDebugLevel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	newLogger(&out, "sidecar", "", "debug").DebugContext(t.Context(), "sent")
	if got := out.String(); !strings.Contains(got, "msg=sent service=sidecar") || strings.Contains(got, "correlation") {
		t.Errorf("line is %q", got)
	}
}
