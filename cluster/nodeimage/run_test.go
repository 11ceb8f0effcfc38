package nodeimage

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

func TestRun(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	b := &Builder{Log: &log}
	out, err := b.run(t.Context(), command{dir: t.TempDir(), stdin: strings.NewReader("in"), env: []string{"X=y"}, argv: []string{"sh", "-c", `cat; echo " $X"; echo aside >&2`}})
	if err != nil || string(out) != "in y\n" {
		t.Errorf("got %q, %v; want standard output alone", out, err)
	}
	if !strings.Contains(log.String(), "aside") {
		t.Errorf("the log holds %q", log.String())
	}

	argv := []string{"sh", "-c", "echo what went wrong >&2; exit 3"}
	_, err = b.run(t.Context(), command{dir: t.TempDir(), argv: argv})
	var failed *fault.Exec
	if !errors.As(err, &failed) || !slices.Equal(failed.Argv, argv) || failed.Tail != "what went wrong" {
		t.Errorf("got %#v, want the command and what it said", err)
	}
}

// A tool's children end with it when the build is cancelled: they would go on writing.
func TestRunCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	_, err := (&Builder{Log: onWrite(cancel)}).run(ctx, command{dir: t.TempDir(), argv: []string{"sh", "-c", "echo started; sleep 600 & wait"}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	// The child holds the output open: had it lived on, this would have taken the grace time of 5 s.
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s", took)
	}
}

type onWrite func()

func (f onWrite) Write(p []byte) (int, error) { f(); return len(p), nil }

func TestTail(t *testing.T) {
	t.Parallel()
	end := &tail{mu: new(sync.Mutex)}
	for range 3 {
		if _, err := end.Write(bytes.Repeat([]byte("x"), tailSize)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := end.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	if len(end.last) != tailSize || !strings.HasSuffix(string(end.last), "xend") {
		t.Errorf("keeps %d bytes that end in %q", len(end.last), end.last[len(end.last)-4:])
	}
}

// A person sees which step of how many runs, and an expected time that isn't over before the build is.
func TestSteps(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var seen []progress.Update
	ctx := progress.With(t.Context(), func(u progress.Update) { mu.Lock(); defer mu.Unlock(); seen = append(seen, u) })
	parts := []part{{name: "a", expect: 50 * time.Second}, {name: "b", expect: 10 * time.Second}, rootfs}
	s := newSteps(parts)
	broken := errors.New("broken")
	for _, p := range parts[:2] {
		if err := s.run(ctx, "build "+p.name, p.expect, func(context.Context) error { return broken }); !errors.Is(err, broken) {
			t.Fatalf("got %v, want the step's error", err)
		}
	}
	var whats []string
	for _, u := range seen {
		whats = append(whats, u.What)
		if u.Total < u.Done || u.Total < int64(expectAssembly.Seconds()) || u.Unit != "s" {
			t.Errorf("reported %+v", u)
		}
	}
	if want := []string{"node image: build a (step 1 of 5)", "node image: build b (step 2 of 5)"}; !slices.Equal(slices.Compact(whats), want) {
		t.Errorf("reported %q, want %q", whats, want)
	}
}

func TestProvide(t *testing.T) {
	t.Parallel()
	present := false
	absent := tool{"compiler", []string{"cc", "cc-dev"}, func() bool { return present }}
	parts := []part{{needs: []tool{absent}}, {needs: []tool{absent}}}

	if err := new(Builder).provide(t.Context(), parts); err == nil || !strings.Contains(err.Error(), "cc cc-dev") {
		t.Errorf("nothing to install with: got %v, want the packages named", err)
	}
	var asked []string
	b := &Builder{Install: func(_ context.Context, packages ...string) error { asked = append(asked, packages...); return nil }}
	if err := b.provide(t.Context(), parts); err == nil || !strings.Contains(err.Error(), "still missing") {
		t.Errorf("installed in vain: got %v", err)
	}
	if want := []string{"cc", "cc-dev"}; !slices.Equal(asked, want) {
		t.Errorf("asked to install %q, want %q once", asked, want)
	}
	present, asked = true, nil
	if err := b.provide(t.Context(), parts); err != nil || asked != nil {
		t.Errorf("all there: got %v, asked to install %q", err, asked)
	}
	mine := tool{"go", nil, func() bool { return false }}
	if err := b.provide(t.Context(), []part{{needs: []tool{mine}}}); err == nil || !strings.Contains(err.Error(), "PATH") {
		t.Errorf("what can't be installed: got %v", err)
	}
}
