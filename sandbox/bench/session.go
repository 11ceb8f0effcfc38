package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// quiet is for how long a session is looked at that has nothing to do, in as many parts as there are samples. rests is
// how long before that nobody asks it for anything.
const (
	quiet = time.Minute
	rests = 10 * time.Second
)

// sessionMemory is the session's resident set, in MB, with all that earlier rows have left in it.
func sessionMemory(ctx context.Context, b *bench, n int) (samples, error) {
	u, err := b.readyUsage(ctx, n)
	return samples{ours: u.memory}, err
}

// sessionCPU is the share of a core that the session takes while nothing happens, in percent.
func sessionCPU(ctx context.Context, b *bench, n int) (samples, error) {
	u, err := b.readyUsage(ctx, n)
	return samples{ours: u.cpu}, err
}

// usage are samples of a session's resources.
type usage struct {
	memory []float64 // MB
	cpu    []float64 // % of a core
}

func (b *bench) readyUsage(ctx context.Context, n int) (usage, error) {
	if err := b.ready(ctx); err != nil {
		return usage{}, err
	}
	return b.usage(ctx, n)
}

// usage looks at the session of the sandbox that runs, over a quiet minute.
func (b *bench) usage(ctx context.Context, n int) (u usage, err error) {
	if err := b.settled(ctx); err != nil {
		return u, err
	}
	pid, err := b.sessionPID(ctx)
	if err != nil {
		return u, err
	}
	if err := sleep(ctx, rests); err != nil {
		return u, err
	}
	for range n {
		before, err := cpuSeconds(pid)
		if err != nil {
			return u, err
		}
		t := startTimer()
		if err := sleep(ctx, quiet/time.Duration(n)); err != nil {
			return u, err
		}
		after, err := cpuSeconds(pid)
		if err != nil {
			return u, err
		}
		memory, err := residentMB(pid)
		if err != nil {
			return u, err
		}
		u.cpu = append(u.cpu, (after-before)/t.seconds()*100)
		u.memory = append(u.memory, memory)
	}
	return u, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sessionPID asks the session for its process's number.
func (b *bench) sessionPID(ctx context.Context) (int64, error) {
	conn, err := grpc.NewClient("unix:"+filepath.Join(b.state.Dir, "session.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	hello, err := control.NewControlClient(conn).Hello(ctx, &control.HelloRequest{})
	if err != nil {
		return 0, fmt.Errorf("ask the session: %w", err)
	}
	return hello.Pid, nil
}

// ticks of a second in /proc, on all of Linux's architectures that Kubernetes runs on.
const ticks = 100

// cpuSeconds is the processor time that a process has taken.
func cpuSeconds(pid int64) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name, in parentheses; it may hold anything.
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	const user, system = 11, 12 // fields 14 and 15 of proc(5)
	if len(f) <= system {
		return 0, fmt.Errorf("read the session's times: %q", b)
	}
	var sum float64
	for _, field := range []string{f[user], f[system]} {
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			return 0, err
		}
		sum += n / ticks
	}
	return sum, nil
}

// residentMB is the memory of a process that is not swapped out, in 10⁶ bytes.
func residentMB(pid int64) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
			return kb * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("process %d has no VmRSS", pid)
}
