package cluster

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

// relayTo is a node in which the relay runs, to a socket of this machine, and a channel that is closed when it ends.
func relayTo(t *testing.T, socket string) (Node, chan struct{}) {
	t.Helper()
	ended := make(chan struct{})
	e := &enginetest.Engine{Containers: []container.InspectResponse{node("running")}}
	e.Exec = func(argv []string, stdin io.Reader, stdout, stderr io.Writer) int {
		defer close(ended)
		if argv[len(argv)-1] != containerdSocket {
			t.Errorf("relayed to %s", argv[len(argv)-1])
		}
		cmd := exec.Command(argv[0], append(argv[1:len(argv)-1:len(argv)-1], socket)...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Error(err)
			return 1
		}
		cmd.Stdout, cmd.Stderr = stdout, stderr
		go func() {
			io.Copy(in, stdin) //nolint:errcheck // it ends when the relay does
			in.Close()
		}()
		if err := cmd.Run(); err != nil {
			return 1
		}
		return 0
	}
	return NewNode(e.Start(t), "dynsandbox-example-control-plane"), ended
}

func TestDialContainerd(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for name, tc := range map[string]struct {
		serve func(net.Conn) // what containerd does before it closes
		use   func(*testing.T, net.Conn)
	}{
		"both ways": {func(c net.Conn) { io.Copy(c, c) }, func(t *testing.T, c net.Conn) {
			sent := make([]byte, 5<<20)
			for i := range sent {
				sent[i] = byte(rand.Uint32())
			}
			go c.Write(sent)
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(sent, got) {
				t.Errorf("what came back differs, or: %v", err)
			}
		}},
		"containerd ends": {func(c net.Conn) { c.Write([]byte("bye")) }, func(t *testing.T, c net.Conn) {
			if got, err := io.ReadAll(c); err != nil || string(got) != "bye" {
				t.Errorf("%q, %v", got, err)
			}
		}},
		"unused": {func(c net.Conn) { io.Copy(io.Discard, c) }, func(*testing.T, net.Conn) {}},
	} {
		t.Run(name, func(t *testing.T) {
			n, relayEnded := relayTo(t, socket)
			served := make(chan struct{})
			go func() {
				defer close(served)
				c, err := listener.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				tc.serve(c)
			}()
			ctx, cancel := context.WithCancel(t.Context())
			conn, err := n.DialContainerd(ctx)
			if err != nil {
				t.Fatal(err)
			}
			cancel() // it was for the connecting
			tc.use(t, conn)
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			<-relayEnded
			if t.Failed() {
				listener.Close()
			}
			<-served
		})
	}
}

func TestDialContainerdThatIsNotThere(t *testing.T) {
	t.Parallel()
	n, _ := relayTo(t, filepath.Join(t.TempDir(), "none"))
	conn, err := n.DialContainerd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "connect to containerd: ") {
		t.Errorf("got error %v", err)
	}
}
