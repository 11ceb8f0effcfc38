package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what is written to the file; the table is made of it too.
type report struct {
	Began   time.Time `json:"began"`
	Cores   int       `json:"cores"`
	Go      string    `json:"go"`
	Samples int       `json:"samples"` // that were asked for, of each row
	Rows    []result  `json:"rows"`
}

// result is one row. Value is the median of the comparisons of each sample with its peer's, Low and High are the least
// and the greatest; all three are absent when the row wasn't measured.
type result struct {
	Name        string               `json:"name"`
	What        string               `json:"what"`
	Compare     comparison           `json:"compare"`
	Unit        string               `json:"unit"`
	Value       *float64             `json:"value,omitempty"`
	Low         *float64             `json:"low,omitempty"`
	High        *float64             `json:"high,omitempty"`
	Goal        string               `json:"goal"`
	Met         *bool                `json:"met,omitempty"`
	SampleUnit  string               `json:"sampleUnit"`
	Ours        []float64            `json:"ours,omitempty"`
	Peer        []float64            `json:"peer,omitempty"`
	Note        string               `json:"note,omitempty"`
	Steps       map[string][]float64 `json:"steps,omitempty"`       // seconds from each sample's beginning to what happened on its way
	Beside      map[string][]float64 `json:"beside,omitempty"`      // seconds of other peers, which the value doesn't depend on
	Took        float64              `json:"took"`                  // seconds that measuring the row took in all
	NotMeasured string               `json:"notMeasured,omitempty"` // why there is nothing to measure yet
	Error       string               `json:"error,omitempty"`       // why it couldn't be measured: a failure
}

func newReport(n int) report {
	return report{Began: time.Now().UTC().Truncate(time.Second), Cores: runtime.NumCPU(), Go: runtime.Version(), Samples: n}
}

// failed reports whether a row couldn't be measured. A goal that is missed is no failure.
func (r report) failed() bool {
	for _, row := range r.Rows {
		if row.Error != "" {
			return true
		}
	}
	return false
}

func (r report) writeFile(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o644); err != nil {
		return fmt.Errorf("write all samples: %w", err)
	}
	return nil
}

// writeTable prints the rows for people.
func (r report) writeTable(w io.Writer) error {
	fmt.Fprintf(w, "%s, %d cores, %s; medians, spread in brackets\n\n", r.Began.Format(time.DateOnly), r.Cores, r.Go)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROW\tVALUE\tSPREAD\tOURS\tPEER\tGOAL\tMET")
	for _, row := range r.Rows {
		fmt.Fprintln(t, strings.Join(row.cells(), "\t"))
	}
	return t.Flush()
}

// cells are the row's columns of the table.
func (r result) cells() []string {
	if r.Value == nil {
		return []string{r.Name, cmp.Or(firstLine(r.Error, "failed: "), firstLine(r.NotMeasured, "not measured: ")), "", "", "", r.Goal, ""}
	}
	met := "no"
	if *r.Met {
		met = "yes"
	}
	return []string{r.Name, withUnit(number(*r.Value), r.Unit), "[" + number(*r.Low) + " " + number(*r.High) + "]",
		r.summary(r.Ours), r.summary(r.Peer), r.Goal, met}
}

func (r result) summary(samples []float64) string {
	if len(samples) == 0 {
		return ""
	}
	return withUnit(number(median(samples)), r.SampleUnit)
}

// text tells the row with all its samples, as soon as it is measured.
func (r result) text() string {
	var b strings.Builder
	for _, s := range []struct {
		who     string
		samples []float64
	}{{"ours", r.Ours}, {"peer", r.Peer}} {
		if len(s.samples) > 0 {
			fmt.Fprintf(&b, "  %s %s: ", s.who, r.SampleUnit)
			for _, x := range s.samples {
				fmt.Fprintf(&b, " %s", number(x))
			}
			fmt.Fprintln(&b)
		}
	}
	for _, step := range slices.SortedFunc(maps.Keys(r.Steps), func(a, b string) int { return cmp.Compare(median(r.Steps[a]), median(r.Steps[b])) }) {
		fmt.Fprintf(&b, "  %s after %s s\n", step, number(median(r.Steps[step])))
	}
	for _, peer := range slices.Sorted(maps.Keys(r.Beside)) {
		fmt.Fprintf(&b, "  %s: %s s\n", peer, number(median(r.Beside[peer])))
	}
	switch {
	case r.Error != "":
		fmt.Fprintf(&b, "  failed: %s\n", r.Error)
	case r.NotMeasured != "":
		fmt.Fprintf(&b, "  not measured: %s\n", r.NotMeasured)
	default:
		fmt.Fprintf(&b, "  %s %s, goal %s\n", r.Compare, withUnit(number(*r.Value), r.Unit), r.Goal)
	}
	if r.Note != "" {
		fmt.Fprintf(&b, "  %s\n", r.Note)
	}
	fmt.Fprintf(&b, "  took %.0f s\n", r.Took)
	return b.String()
}

// number shows three digits that count, more only before the point.
func number(x float64) string {
	switch abs := max(x, -x); {
	case abs >= 100:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case abs >= 0.1:
		return strconv.FormatFloat(x, 'g', 3, 64)
	default:
		return strconv.FormatFloat(x, 'f', 4, 64)
	}
}

// firstLine puts a prefix before the first line of a text; of no text there is none.
func firstLine(s, prefix string) string {
	if s == "" {
		return ""
	}
	line, _, _ := strings.Cut(s, "\n")
	return prefix + line
}
