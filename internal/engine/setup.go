package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Setup makes sure that a Docker engine answers: it installs one (Debian and Ubuntu, as root) and starts it
// where none does, with systemd or without. It returns one line a thing that it did or noticed.
//
// log receives the output of the package manager; nil discards it.
func Setup(ctx context.Context, log io.Writer) (notes []string, err error) {
	if found, notes, err := answering(ctx); found {
		return notes, errors.Join(err, needCLI(ctx, log))
	} else if host := os.Getenv("DOCKER_HOST"); host != "" {
		return nil, fmt.Errorf("no engine answers at DOCKER_HOST=%s: %w", host, err)
	} else if strings.Contains(err.Error(), "permission denied") {
		return nil, fmt.Errorf("this user may not use the Docker engine: join the group docker, log in again, and try once more: %w", err)
	} else if os.Geteuid() != 0 {
		return nil, fmt.Errorf("no Docker engine answers: start it, or run this once as root (it can install and start one on Debian and Ubuntu): %w", err)
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		if systemd() { // it starts the engine while the package is installed
			if _, err := configureRuntime(daemonConfig); err != nil {
				return nil, err
			}
		}
		if err := InstallPackages(ctx, log, "docker.io", "iptables", "ca-certificates"); err != nil {
			return nil, err
		}
		notes = append(notes, "installed the Docker engine (Debian package docker.io)")
	}
	if err := needCLI(ctx, log); err != nil {
		return notes, err
	}
	// The package's own script may have started it.
	if found, more, err := answering(ctx); found {
		return append(notes, more...), err
	}
	how, err := start(ctx)
	if err != nil {
		return notes, err
	}
	return append(notes, how), nil
}

// answering reports whether an engine answers, and says what is to be known about it; or the error of not reaching one.
func answering(ctx context.Context) (found bool, notes []string, err error) {
	c, err := Connect(ctx)
	if err != nil {
		return false, nil, err
	}
	defer c.Close()
	if !LacksSysResource() {
		return true, nil, nil
	}
	info, err := c.Info(ctx)
	if err != nil {
		return true, nil, fmt.Errorf("ask the engine about its machine: %w", err)
	}
	if info.DefaultRuntime != runtimeName {
		notes = append(notes, "CAP_SYS_RESOURCE can't be had on this machine, and the engine that runs gives it to containers (runtime "+
			info.DefaultRuntime+"): if the node doesn't start, stop the engine and run setup again")
	}
	return true, notes, nil
}

// needCLI installs the docker command where it is missing: kind runs it (nothing of ours does), and
// Debian 13 ships it in a package of its own.
func needCLI(ctx context.Context, log io.Writer) error {
	if _, err := exec.LookPath("docker"); err == nil {
		return nil
	}
	return InstallPackages(ctx, log, "docker-cli")
}

func systemd() bool {
	_, err := os.Stat("/run/systemd/system")
	return err == nil
}

// engineLog is where the output of an engine that we started goes.
const engineLog = "/var/log/dynsandbox-dockerd.log"

// start starts the installed engine and waits until it answers. It returns the line that says how.
func start(ctx context.Context) (string, error) {
	progress.Report(ctx, progress.Update{What: "start the Docker engine"})
	if systemd() {
		note, err := configureRuntime(daemonConfig)
		if err != nil {
			return "", err
		}
		if out, err := exec.CommandContext(ctx, "systemctl", "start", "docker").CombinedOutput(); err != nil {
			return "", &fault.Exec{Argv: []string{"systemctl", "start", "docker"}, Tail: fault.Tail(out, 10), Err: err}
		}
		return "started the Docker engine (systemd)" + note, waitEngine(ctx, nil)
	}
	args, note, err := daemonArgs()
	if err != nil {
		return "", err
	}
	if answers, err := clearStalePID(ctx, "/var/run/docker.pid"); answers || err != nil {
		return "the Docker engine has just been started by somebody else", err
	}
	f, err := os.OpenFile(engineLog, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return "", err
	}
	defer f.Close()
	cmd := exec.Command("dockerd", args...) // not CommandContext: it outlives us
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start dockerd: %w", err)
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	return "started the Docker engine (no init system here; its log is " + engineLog + ")" + note, waitEngine(ctx, died)
}

// waitEngine waits until the engine answers. died, where not nil, tells that the daemon has ended.
func waitEngine(ctx context.Context, died <-chan error) error {
	began := time.Now()
	for {
		c, err := Connect(ctx)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-died:
			out, _ := os.ReadFile(engineLog)
			return &fault.Exec{Argv: []string{"dockerd"}, Tail: fault.Tail(out, 10), Err: fmt.Errorf("ended: %w", e)}
		case <-time.After(200 * time.Millisecond):
		}
		if time.Since(began) > 2*time.Minute {
			return &fault.Timeout{WaitedFor: "the Docker engine to answer", LastSeen: err.Error(), After: time.Since(began)}
		}
	}
}

// clearStalePID removes the pid file of a daemon that was killed, and waits for one that is just ending, or just
// starting: then answers is true.
func clearStalePID(ctx context.Context, path string) (answers bool, err error) {
	for range 100 {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || strings.TrimSpace(string(comm)) != "dockerd" {
			return false, os.Remove(path)
		}
		if c, err := Connect(ctx); err == nil {
			return true, c.Close()
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return false, fmt.Errorf("a dockerd runs (%s) but doesn't answer", path)
}
