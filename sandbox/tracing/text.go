package tracing

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText prints the trace for people: a line a span, with its offset from the request's begin, how long it took, its
// service and, indented under what it follows, its name. Failures have their words below.
func (t *Trace) WriteText(w io.Writer) error {
	head := fmt.Sprintf("trace %s  %s  %s  %d spans", t.ID, t.Start.Local().Format(time.DateTime), seconds(t.Seconds), t.Count)
	if len(t.Jobs) > 0 {
		head += "  job " + strings.Join(t.Jobs, ", ")
	}
	if t.Errors > 0 {
		head += fmt.Sprintf("  %d failed", t.Errors)
	}
	if t.Dropped > 0 {
		head += fmt.Sprintf("  (and %d more that were too many)", t.Dropped)
	}
	width := 0
	for _, s := range t.Spans {
		width = max(width, len(s.who()))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%10s %10s  %-*s  %s\n", head, "offset", "duration", width, "service", "span")
	for i, s := range t.Spans {
		indent := strings.Repeat(" ", s.Depth)
		name := s.Name
		if i > 0 && s.Depth == 0 && s.Parent != "" {
			name += "  (what it follows has not arrived)"
		}
		fmt.Fprintf(&b, "%10s %10s  %-*s  %s%s\n", milliseconds(s.Start.Sub(t.Start).Seconds()), milliseconds(s.Seconds), width, s.who(), indent, name)
		if s.Failed {
			words := s.Error
			if words == "" {
				words = "failed"
			}
			margin := strings.Repeat(" ", 10+1+10+2+width+2) + indent + "  "
			fmt.Fprintf(&b, "%serror: %s\n", margin, strings.ReplaceAll(words, "\n", "\n"+margin))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteList prints traces for people, a line each.
func WriteList(w io.Writer, traces []*Trace) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "begun\ttook\tspans\tfailed\ttrace\tjob\trequest")
	for _, t := range traces {
		fmt.Fprintf(tab, "%s\t%s\t%d\t%d\t%.8s\t%s\t%s\n", t.Start.Local().Format(time.DateTime), seconds(t.Seconds),
			t.Count, t.Errors, t.ID, strings.Join(t.Jobs, ", "), t.Name)
	}
	return tab.Flush()
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }

func milliseconds(s float64) string { return fmt.Sprintf("%.1f ms", s*1e3) }
