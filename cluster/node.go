package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Node is the one process boundary to the machine that runs the Pods.
type Node interface {
	// Exec runs argv in the node with stdin (nil: none), and returns what it wrote to standard output.
	// When it fails or exits non-zero, the error is a *fault.Exec with the tail of its standard error.
	Exec(ctx context.Context, stdin io.Reader, argv ...string) ([]byte, error)
	// DialContainerd connects to the node's containerd.
	DialContainerd(ctx context.Context) (net.Conn, error)
}

// containerNode runs commands in a container, through the engine's API.
type containerNode struct {
	docker client.APIClient
	name   string
}

var _ Node = containerNode{}

// NewNode returns the node that is the container of that name (see [NodeName]). It doesn't need to run yet.
func NewNode(docker client.APIClient, name string) Node { return containerNode{docker, name} }

func (n containerNode) Exec(ctx context.Context, stdin io.Reader, argv ...string) ([]byte, error) {
	shown := append([]string{"docker", "exec", n.name}, argv...)
	id, conn, err := n.begin(ctx, stdin != nil, argv)
	if err != nil {
		return nil, &fault.Exec{Argv: shown, Err: err}
	}
	defer conn.Close()
	// The stream knows nothing of the context: closing it is what ends the copying below.
	defer context.AfterFunc(ctx, conn.Close)()

	sent := make(chan error, 1)
	go func() {
		var err error
		if stdin != nil {
			_, err = io.Copy(conn.Conn, stdin)
			err = errors.Join(err, conn.CloseWrite())
		}
		sent <- err
	}()
	var stdout, stderr bytes.Buffer
	_, readErr := stdcopy.StdCopy(&stdout, &stderr, conn.Reader)
	conn.Close() // a command that ended without reading its input leaves the sender blocked
	sendErr := <-sent
	if ctx.Err() != nil {
		return stdout.Bytes(), &fault.Exec{Argv: shown, Tail: fault.Tail(stderr.Bytes(), 10), Err: ctx.Err()}
	}
	if readErr != nil {
		return stdout.Bytes(), &fault.Exec{Argv: shown, Tail: fault.Tail(stderr.Bytes(), 10), Err: readErr}
	}
	ended, err := n.docker.ContainerExecInspect(ctx, id)
	if err != nil {
		return stdout.Bytes(), &fault.Exec{Argv: shown, Err: err}
	}
	if ended.ExitCode != 0 {
		tail := stderr.Bytes()
		if len(bytes.TrimSpace(tail)) == 0 {
			tail = stdout.Bytes() // some commands complain on standard output
		}
		return stdout.Bytes(), &fault.Exec{Argv: shown, Tail: fault.Tail(tail, 10), Err: fmt.Errorf("exit status %d", ended.ExitCode)}
	}
	// A command that succeeded had what it needed, even if it closed its input early; but a source that failed
	// (a truncated archive) must not pass for the whole.
	if sendErr != nil && stdin != nil && !isClosedPipe(sendErr) {
		return stdout.Bytes(), &fault.Exec{Argv: shown, Err: fmt.Errorf("send standard input: %w", sendErr)}
	}
	return stdout.Bytes(), nil
}

// begin starts argv in the node and connects to its streams. ctx is for that alone.
func (n containerNode) begin(ctx context.Context, stdin bool, argv []string) (id string, conn types.HijackedResponse, err error) {
	created, err := n.docker.ContainerExecCreate(ctx, n.name, container.ExecOptions{
		Cmd: argv, Privileged: true, AttachStdin: stdin, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return "", conn, err
	}
	conn, err = n.docker.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	return created.ID, conn, err
}

// isClosedPipe reports whether err only says that the reader of a stream was gone.
func isClosedPipe(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
