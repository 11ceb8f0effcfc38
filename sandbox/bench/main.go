// Command bench measures what the sandbox is for, on a real cluster of its own, and compares it with what else people
// would do, in the same run: `make bench` prints a table and writes all samples to bin/bench.json.
//
// The rows are one visible slice, in rows.go; a new one is one more entry there and, mostly, one more file. Package
// images is called as a library where a row is about loads; all else is what a user does: bin/dynsandbox is run, files
// of a copy of the workspace are saved, the platform is asked.
//
// It reports: a goal that isn't met is no failure, a row that couldn't be measured is. The sandbox "bench" and its state
// are its own, and are removed at the end, at a failure and at Ctrl-C too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	os.Exit(code)
}

// settings are the command line's.
type settings struct {
	rows  *regexp.Regexp
	n     int
	out   string
	limit time.Duration
	list  bool
	keep  bool
}

func parse(args []string, stderr io.Writer) (settings, error) {
	var s settings
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	rows := f.String("run", "", "measure only rows whose name matches this regular expression")
	f.IntVar(&s.n, "n", 5, "samples of each row")
	f.StringVar(&s.out, "out", "bin/bench.json", "file for all samples")
	f.DurationVar(&s.limit, "limit", 0, "begin no further row after this time; 0 is no limit")
	f.BoolVar(&s.list, "list", false, "list the rows and measure nothing")
	f.BoolVar(&s.keep, "keep", false, "take the sandbox that an earlier -keep left, and leave it: for work on a row")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	var err error
	if s.rows, err = regexp.Compile(*rows); err != nil {
		return s, fmt.Errorf("-run: %w", err)
	}
	if s.n < 1 || f.NArg() > 0 {
		return s, fmt.Errorf("usage: bench [-run REGEXP] [-n SAMPLES] [-out FILE] [-limit DURATION] [-list] [-keep]")
	}
	return s, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	s, err := parse(args, stderr)
	if err != nil {
		return fail(err)
	}
	chosen := matching(rows, s.rows)
	if s.list {
		for _, r := range chosen {
			fmt.Fprintf(stdout, "%-20s %s; goal %s\n", r.name, r.what, r.goalText())
		}
		return 0
	}
	if len(chosen) == 0 {
		return fail(fmt.Errorf("no row matches %s", s.rows))
	}
	b, err := newBench(ctx, s.keep)
	if err != nil {
		return fail(err)
	}
	rep, writeErr := measureAll(ctx, b, chosen, s, stderr)
	// After Ctrl-C too: that ended the measuring, not the tidying up.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Minute)
	defer cancel()
	closeErr := b.close(closing)
	if err := rep.writeTable(stdout); err != nil {
		return fail(err)
	}
	if err := errors.Join(writeErr, closeErr); err != nil {
		return fail(err)
	}
	if rep.failed() {
		return 1
	}
	return 0
}

// measureAll measures one row after the other. What was measured before Ctrl-C counts, and all that is known is in the
// file after each row: a run may be killed.
func measureAll(ctx context.Context, b *bench, chosen []row, s settings, progress io.Writer) (report, error) {
	rep := newReport(s.n)
	all := startTimer()
	for _, r := range chosen {
		fmt.Fprintf(progress, "%s  %s: %s\n", time.Now().Format(time.TimeOnly), r.name, r.what)
		var taken samples
		t := startTimer()
		err := ctx.Err()
		switch {
		case err != nil:
		case s.limit > 0 && all.seconds() > s.limit.Seconds():
			err = notMeasured("out of time")
		default:
			taken, err = r.measure(ctx, b, s.n)
		}
		res := r.judge(taken, err)
		res.Took = t.seconds()
		fmt.Fprint(progress, res.text())
		rep.Rows = append(rep.Rows, res)
		if err := rep.writeFile(s.out); err != nil {
			return rep, err
		}
	}
	return rep, nil
}
