package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// relay connects its standard input and output to containerd's socket in a node. Perl is what every image of a node has:
// Debian needs it to install packages. When either side ends, so does the other, and the relay.
const relay = `use Socket;
socket my $s, PF_UNIX, SOCK_STREAM, 0 or die "socket: $!\n";
connect $s, sockaddr_un($ARGV[0]) or die "connect to containerd: $!\n";
sub pump { my ($from, $to) = @_; my $n;
  while ($n = sysread $from, my $buf, 1 << 18) { for (my $done = 0; $done < $n; ) { $done += syswrite($to, $buf, $n - $done, $done) || return } } }
my $up = $$; my $down = fork; defined $down or die "fork: $!\n";
if ($down) { pump(*STDIN, $s); shutdown $s, 1; waitpid $down, 0 } else { pump($s, *STDOUT); kill TERM => $up }`

const containerdSocket = "/run/containerd/containerd.sock"

// DialContainerd connects to the containerd of the node, through the engine: the socket is reached wherever the engine runs,
// and no port is published. ctx is for the connecting alone.
func (n containerNode) DialContainerd(ctx context.Context) (net.Conn, error) {
	shown := []string{"docker", "exec", "-i", n.name, "perl", "-e", "...", containerdSocket}
	_, attached, err := n.begin(ctx, true, []string{"perl", "-e", relay, containerdSocket})
	if err != nil {
		return nil, &fault.Exec{Argv: shown, Err: err}
	}
	out, in := io.Pipe()
	c := &relayed{Conn: attached.Conn, attached: attached, out: out}
	go func() {
		var stderr bytes.Buffer
		_, err := stdcopy.StdCopy(in, &stderr, attached.Reader)
		if said := bytes.TrimSpace(stderr.Bytes()); len(said) > 0 {
			err = &fault.Exec{Argv: shown, Tail: fault.Tail(said, 10), Err: fmt.Errorf("the relay ended")}
		}
		in.CloseWithError(err) // nil: io.EOF
	}()
	return c, nil
}

// relayed is a connection through a process in a container: what it writes comes out of a pipe, without the engine's framing.
type relayed struct {
	net.Conn
	attached types.HijackedResponse
	out      *io.PipeReader
	once     sync.Once
}

func (c *relayed) Read(p []byte) (int, error) { return c.out.Read(p) }

func (c *relayed) Close() error {
	c.once.Do(func() {
		c.attached.Close()
		c.out.Close()
	})
	return nil
}
