// Package fault holds the error types that more than one package of the sandbox returns.
//
// They carry facts, not advice: hints for people are attached where the error is printed, in cmd/dynsandbox.
package fault

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Invalid is one problem in a file that a person wrote: a launch file, a scenario, a chart.
type Invalid struct {
	File       string `json:"file"`                 // as the user would name it: relative to the workspace where it lies in it
	Line       int    `json:"line,omitempty"`       // 1-based; 0 when the problem has no place (a missing file)
	Column     int    `json:"column,omitempty"`     // 1-based, in characters
	Problem    string `json:"problem"`              // what is wrong, lower case, no full stop
	Suggestion string `json:"suggestion,omitempty"` // the nearest valid thing, if there is one
	Warning    bool   `json:"warning,omitempty"`    // true: reported, but not refused (unless the caller is strict)
}

// Error is "file:line:column: problem (suggestion)".
func (i Invalid) Error() string {
	var b strings.Builder
	b.WriteString(i.File)
	if i.Line > 0 {
		fmt.Fprintf(&b, ":%d", i.Line)
		if i.Column > 0 {
			fmt.Fprintf(&b, ":%d", i.Column)
		}
	}
	b.WriteString(": ")
	if i.Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(i.Problem)
	if i.Suggestion != "" {
		fmt.Fprintf(&b, " (%s)", i.Suggestion)
	}
	return b.String()
}

// Invalids are all the problems found in one go, in the order of the files.
type Invalids []Invalid

// Error is one line a problem.
func (is Invalids) Error() string {
	lines := make([]string, len(is))
	for i, v := range is {
		lines[i] = v.Error()
	}
	return strings.Join(lines, "\n")
}

// AsInvalids returns the problems that err carries, or nil when it is another kind of error.
func AsInvalids(err error) Invalids {
	var is Invalids
	if errors.As(err, &is) {
		return is
	}
	var i Invalid
	if errors.As(err, &i) {
		return Invalids{i}
	}
	return nil
}

// Exec is a command that failed: what was run, and the end of what it printed.
type Exec struct {
	Argv []string
	Tail string // the last lines of its output, trimmed
	Err  error
}

// Error shows the command, its error and the tail of its output.
func (e *Exec) Error() string {
	s := fmt.Sprintf("run %s: %v", strings.Join(e.Argv, " "), e.Err)
	if e.Tail != "" {
		s += "\n  " + strings.ReplaceAll(e.Tail, "\n", "\n  ")
	}
	return s
}

// Unwrap returns the error of the process itself.
func (e *Exec) Unwrap() error { return e.Err }

// Tail returns the last n lines of a command's output, for [Exec].
func Tail(output []byte, n int) string {
	lines := strings.Split(strings.TrimRight(string(output), "\n \t"), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// Timeout is a wait that ran out: the one thing it waited for, and what it last saw of it.
type Timeout struct {
	WaitedFor string
	LastSeen  string
	After     time.Duration
}

// Error names the thing waited for and the last observation.
func (t *Timeout) Error() string {
	s := fmt.Sprintf("waited %s for %s", t.After.Round(time.Second), t.WaitedFor)
	if t.LastSeen != "" {
		s += "; last seen: " + t.LastSeen
	}
	return s
}
