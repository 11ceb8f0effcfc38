package nodeimage

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// command is one run of a tool.
type command struct {
	dir   string   // working directory; must lie in the scratch folder, by which leftovers are found
	env   []string // on top of this process's
	stdin io.Reader
	argv  []string
}

// run runs a tool to its end and returns what it wrote to standard output. When ctx ends, the tool and its children
// are asked to end; what doesn't is killed with the scratch folder.
func (b *Builder) run(ctx context.Context, c command) ([]byte, error) {
	var out bytes.Buffer
	cmd, tail := b.command(ctx, c)
	cmd.Stdout = io.MultiWriter(&out, tail)
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, tail.fault(c.argv, err)
	}
	return out.Bytes(), nil
}

// command prepares a tool whose output goes to the log, and whose last output is kept for errors.
func (b *Builder) command(ctx context.Context, c command) (*exec.Cmd, *tail) {
	end := &tail{mu: &b.logging, log: b.Log}
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Stdin = c.dir, c.stdin
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), c.env...)
	cmd.Stdout, cmd.Stderr = end, end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // one group, to end it as a whole
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	return cmd, end
}

// tail passes a tool's output on to the log and keeps the end of it.
type tail struct {
	mu   *sync.Mutex // the log is shared by tools that run at the same time
	log  io.Writer   // may be nil
	last []byte
}

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailSize; over > 0 {
		t.last = append(t.last[:0], t.last[over:]...)
	}
	if t.log != nil {
		return t.log.Write(p)
	}
	return len(p), nil
}

func (t *tail) fault(argv []string, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &fault.Exec{Argv: argv, Tail: fault.Tail(t.last, 15), Err: err}
}
