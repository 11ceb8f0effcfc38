package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

// The names of what is made, in the engine too: whatever an earlier run that was killed left is found by them.
const (
	sandboxName = "bench"
	peerCluster = "dynsandbox-bench-peer"
)

// bench is what rows measure with: one sandbox, which is brought up when a row needs it and stays for the next.
type bench struct {
	binary    string // bin/dynsandbox
	kind      string // bin/kind: the command of the version that the sandbox is built with
	workspace string // a copy of the reference platform, whose files rows change
	scratch   string // for files that a row makes; removed at the end
	keep      bool
	big       v1.Image // once it is on the node
	grown     *growth  // once it is measured
	isUp      bool
	state     sandbox.State
	docker    *client.Client
	node      *images.Node // the sandbox's, as a session is connected to it
	sent      atomic.Int64 // bytes that went to it
}

// newBench finds the programs and makes the copy of the workspace. It must be run in the repository's root.
func newBench(ctx context.Context, keep bool) (*bench, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(root, "bin")
	b := &bench{
		binary: filepath.Join(bin, "dynsandbox"), kind: filepath.Join(bin, "kind"), keep: keep,
		// Always at the same places: what the compiler has cached is found again.
		workspace: filepath.Join(bin, "bench-platform"), scratch: filepath.Join(bin, "bench-scratch"),
	}
	for _, program := range []string{b.binary, b.kind} {
		if _, err := os.Stat(program); err != nil {
			return nil, fmt.Errorf("find the programs (make bench builds them): %w", err)
		}
	}
	// The state is in a folder of its own (short: a Unix socket lies in it), the cache is everybody's. All programs that are
	// run from here inherit it.
	if err := os.Setenv("XDG_STATE_HOME", filepath.Join(os.TempDir(), fmt.Sprintf("dynsandbox-bench-%d", os.Getuid()))); err != nil {
		return nil, err
	}
	if err := os.Setenv("DYNSANDBOX_NAME", sandboxName); err != nil {
		return nil, err
	}
	if b.state, err = sandbox.Locate(sandboxName); err != nil {
		return nil, err
	}
	if b.docker, err = engine.Connect(ctx); err != nil {
		return nil, err
	}
	b.node = images.NewNode(func(ctx context.Context) (net.Conn, error) {
		conn, err := b.machine().DialContainerd(ctx)
		return countedConn{conn, &b.sent}, err
	})
	if !keep {
		if err := b.purge(ctx); err != nil {
			return nil, fmt.Errorf("remove what an earlier run left: %w", err)
		}
	}
	if err := os.MkdirAll(b.scratch, 0o755); err != nil {
		return nil, err
	}
	return b, copyTree(filepath.Join(root, "platform"), b.workspace)
}

// close removes everything that was made.
func (b *bench) close(ctx context.Context) error {
	var err error
	if !b.keep {
		err = errors.Join(b.purge(ctx), os.RemoveAll(os.Getenv("XDG_STATE_HOME")), os.RemoveAll(b.workspace))
	}
	return errors.Join(err, os.RemoveAll(b.scratch), b.node.Close(), b.docker.Close())
}

// machine is the sandbox's node, to run commands in.
func (b *bench) machine() cluster.Node {
	return cluster.NewNode(b.docker, cluster.NodeName(sandboxName))
}

// countedConn counts what is written.
type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// ready makes sure that the sandbox runs and its scenario has passed.
func (b *bench) ready(ctx context.Context) error {
	if b.isUp {
		return nil
	}
	_, err := b.up(ctx, b.workspace)
	return err
}

// up runs `dynsandbox up` and returns how long it took, as whoever types it sees it.
func (b *bench) up(ctx context.Context, workspace string, args ...string) (seconds float64, err error) {
	t := startTimer()
	_, err = b.dynsandbox(ctx, append([]string{"up", "--workspace", workspace}, args...)...)
	seconds = t.seconds()
	b.isUp = err == nil
	return seconds, err
}

// down stops the sandbox.
func (b *bench) down(ctx context.Context) error {
	b.isUp = false
	_, err := b.dynsandbox(ctx, "down")
	return err
}

// purge removes the sandbox and the images that carry its label; and before it the peer, which is on its network.
func (b *bench) purge(ctx context.Context) error {
	b.isUp, b.big = false, nil
	if err := b.deletePeer(ctx); err != nil {
		return err
	}
	_, err := b.dynsandbox(ctx, "down", "--purge")
	return err
}

// settled returns when everything that was saved is in the platform and the session rests.
func (b *bench) settled(ctx context.Context) error {
	_, err := b.dynsandbox(ctx, "wait", "--for=reloaded")
	return err
}

// replay runs scenarios, which must pass, and returns the seconds from each one's request to its answer.
func (b *bench) replay(ctx context.Context, scenarios ...string) ([]float64, error) {
	var report sandbox.ReplayReport
	if err := b.dynsandboxJSON(ctx, &report, append([]string{"replay"}, scenarios...)...); err != nil {
		return nil, err
	}
	var seconds []float64
	for _, r := range report.Results {
		seconds = append(seconds, r.Seconds)
	}
	return seconds, nil
}
