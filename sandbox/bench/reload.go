package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// The Go service of the rows: the agent, whose binary has 46 MB, in three Pods, each with a sidecar that restarts with
// it. What it says to a request without a token is the marker.
const (
	goService = "agent"
	goFile    = "go/cmd/agent/data.go"
	goText    = "Authorization header is missing"
	goAgent   = "uva" // the one that is asked: Deployment, Service and namespace
)

// goReload is the time from the save of a Go service to the new code's answer, beside a plain `go build`.
func goReload(ctx context.Context, b *bench, n int) (samples, error) {
	// Nothing can be new in the Pods before the node has it.
	return b.compareWithBuild(ctx, n, "loaded")
}

// goReloadMounted is the same with a sandbox that mounts the binaries.
func goReloadMounted(ctx context.Context, b *bench, n int) (s samples, err error) {
	help, err := b.dynsandbox(ctx, "up", "--help")
	if err != nil {
		return s, err
	}
	if !strings.Contains(string(help), "--mount") {
		return s, notMeasured("up has no --mount yet")
	}
	if _, err := b.up(ctx, b.workspace, "--no-scenario", "--mount"); err != nil {
		return s, err
	}
	defer func() {
		_, upErr := b.up(context.WithoutCancel(ctx), b.workspace, "--no-scenario", "--mount=false")
		err = errors.Join(err, upErr)
	}()
	return b.compareWithBuild(ctx, n, "built")
}

// compareGo takes n pairs: a save until its answer, and right after it what the peer does with the same change.
// Requests begin with the service's event pollFrom, so that until then they take nothing away from the build.
func (b *bench) compareGo(ctx context.Context, n int, pollFrom string, peer func(context.Context, source) (float64, error)) (s samples, err error) {
	if err := b.ready(ctx); err != nil {
		return s, err
	}
	entry, err := b.entry(ctx)
	if err != nil {
		return s, err
	}
	file, err := openSource(filepath.Join(b.workspace, goFile), goText)
	if err != nil {
		return s, err
	}
	defer func() {
		err = errors.Join(err, file.restore(), b.settled(context.WithoutCancel(ctx)))
	}()
	events, err := b.watch(ctx)
	if err != nil {
		return s, err
	}
	defer events.stop()
	for i := range n + 1 {
		events.forget()
		marker := newMarker()
		t := startTimer()
		if err := file.save(marker); err != nil {
			return s, err
		}
		if err := events.await(ctx, pollFrom, goService); err != nil {
			return s, err
		}
		if err := pollAnswer(ctx, entry, marker); err != nil {
			return s, err
		}
		ours := t.seconds()
		if err := b.settled(ctx); err != nil {
			return s, err
		}
		theirs, err := peer(ctx, file)
		if err != nil {
			return s, err
		}
		if i == 0 {
			continue // both had to compile what is in the cache from now on
		}
		s.ours, s.peer = append(s.ours, ours), append(s.peer, theirs)
		s.addSteps(t, events.seen)
	}
	return s, nil
}

// compareWithBuild compares a save with `go build` of the same change, and notes beside it what a build with the sandbox's
// own flags takes.
func (b *bench) compareWithBuild(ctx context.Context, n int, pollFrom string) (samples, error) {
	var flagged []float64
	s, err := b.compareGo(ctx, n, pollFrom, func(ctx context.Context, file source) (float64, error) {
		plain, err := timed(func() error { return b.goBuild(ctx, filepath.Join(b.scratch, "plain")) })
		if err != nil {
			return 0, err
		}
		// Of another change: the sandbox's build has left this one compiled for these flags.
		overlay, err := b.overlay(file, newMarker())
		if err != nil {
			return 0, err
		}
		seconds, err := timed(func() error {
			return b.goBuild(ctx, filepath.Join(b.scratch, "flagged"), "-overlay", overlay, "-trimpath", "-ldflags=-w")
		})
		flagged = append(flagged, seconds)
		return plain, err
	})
	if len(flagged) > 1 { // the first is as unmeasured as the peer's
		s.beside = map[string][]float64{"go build -trimpath -ldflags=-w": flagged[1:]}
	}
	return s, err
}

// goBuild is what somebody waits for who only compiles. No version control is asked, which the sandbox doesn't either. (-o:
// the workspace is watched. No C compiler: the image has no C library.)
func (b *bench) goBuild(ctx context.Context, out string, flags ...string) error {
	argv := append([]string{"go", "build", "-o", out}, flags...)
	_, err := command{argv: append(argv, "./cmd/"+goService), dir: filepath.Join(b.workspace, "go"),
		env: []string{"CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"}}.run(ctx)
	return err
}

// entry is the address of the sandbox's HTTP entry.
func (b *bench) entry(ctx context.Context) (string, error) {
	var env map[string]string
	err := b.dynsandboxJSON(ctx, &env, "env")
	return env["DYNSANDBOX_URL"], err
}

// pollAnswer asks the service until its answer has the marker.
func pollAnswer(ctx context.Context, entry, marker string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, eventLimit, errors.New("no answer of the new code"))
	defer cancel()
	last := "no answer"
	for {
		text, err := ask(ctx, entry)
		if strings.Contains(text, marker) {
			return nil
		}
		if last = text; err != nil {
			last = err.Error()
		}
		select {
		case <-ctx.Done():
			return &fault.Timeout{WaitedFor: fmt.Sprintf("%s to answer %q (%v)", goService, marker, context.Cause(ctx)), LastSeen: last, After: eventLimit}
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func ask(ctx context.Context, entry string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, entry+"/agent/v1/sqlDataRequest/"+goAgent, strings.NewReader("{}"))
	if err != nil {
		return "", err
	}
	req.Host = goAgent + "." + goAgent + ".localhost"
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}
