package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// command is a program to run. Its zero value, but for argv, runs here, with this environment and no input.
type command struct {
	argv  []string
	dir   string
	env   []string // beside this process's own
	stdin io.Reader
}

// run runs it to its end and returns its standard output.
func (c command) run(ctx context.Context) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Stdin = c.dir, c.stdin
	cmd.Env = append(os.Environ(), c.env...)
	cmd.WaitDelay = 10 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		said := cmp.Or(errs.String(), out.String())
		return out.Bytes(), &fault.Exec{Argv: c.argv, Tail: fault.Tail([]byte(said), 15), Err: cmp.Or(ctx.Err(), err)}
	}
	return out.Bytes(), nil
}

// dynsandbox runs the program for the benchmark's sandbox.
func (b *bench) dynsandbox(ctx context.Context, args ...string) ([]byte, error) {
	return command{argv: append([]string{b.binary}, args...)}.run(ctx)
}

// dynsandboxJSON runs it with -o json and decodes what it prints.
func (b *bench) dynsandboxJSON(ctx context.Context, into any, args ...string) error {
	out, err := b.dynsandbox(ctx, append(args, "-o", "json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("read what dynsandbox %s prints: %w", args[0], err)
	}
	return nil
}

// timer measures from where it was started.
type timer struct{ began time.Time }

func startTimer() timer { return timer{time.Now()} }

func (t timer) seconds() float64 { return time.Since(t.began).Seconds() }

// timed returns how long f took.
func timed(f func() error) (seconds float64, err error) {
	t := startTimer()
	err = f()
	return t.seconds(), err
}
