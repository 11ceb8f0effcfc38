package images

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestCommandOutput(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	for name, tc := range map[string]struct {
		written     []string
		lines       []string // shown; nil: not looked at
		first, last string   // of the text
		size        int      // at most
	}{
		"lines in parts":          {[]string{"on", "e\ntw", "o\n\nthree"}, []string{"one", "two"}, "one\ntwo\n", "three", 20},
		"progress on one line":    {[]string{"10%\r20", "%\rdone\r\n"}, []string{"10%", "20%", "done"}, "10%\n20%\n", "done", 20},
		"more than is kept":       {[]string{long.String(), "error: 2"}, nil, "line 0\nline 1\n", "line 4999\nerror: 2", 2*keptOutput + 100},
		"a line that doesn't end": {[]string{strings.Repeat("é", longestLine)}, []string{strings.Repeat("é", longestLine/2), strings.Repeat("é", longestLine/2)}, "é", "é", keptOutput},
	} {
		var shown []string
		o := commandOutput{each: func(line string) { shown = append(shown, line) }}
		for _, text := range tc.written {
			if n, err := o.Write([]byte(text)); n != len(text) || err != nil {
				t.Errorf("%s: wrote %d of %d bytes, error %v", name, n, len(text), err)
			}
		}
		if tc.lines != nil && !slices.Equal(shown, tc.lines) {
			t.Errorf("%s: shown %q, want %q", name, shown, tc.lines)
		}
		if text := o.text(); !strings.HasPrefix(text, tc.first) || !strings.HasSuffix(text, tc.last) || len(text) > tc.size {
			t.Errorf("%s: kept %d bytes: %.200q", name, len(text), text)
		}
	}
	// Written in small pieces it is the same, and says how much is missing.
	whole, pieces := commandOutput{each: func(string) {}}, commandOutput{each: func(string) {}}
	whole.Write([]byte(long.String())) //nolint:errcheck // never fails
	for line := range strings.Lines(long.String()) {
		pieces.Write([]byte(line)) //nolint:errcheck // see above
	}
	if whole.text() != pieces.text() {
		t.Error("written in pieces it is another text")
	}
	head, tail, found := strings.Cut(whole.text(), "[")
	var missing int
	if n, _ := fmt.Sscanf(tail, "%d bytes left out]", &missing); !found || n != 1 {
		t.Fatalf("no word of what is left out: %.200q", head)
	}
	_, tail, _ = strings.Cut(tail, "]\n")
	if kept := len(head) + len(tail) + len("\n"); kept+missing != long.Len() {
		t.Errorf("%d bytes kept and %d left out of %d", kept, missing, long.Len())
	}
}
