package engine

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	if c, err := Connect(ctx); err == nil {
		c.Close()
		return nil, needCLI(ctx, log)
	} else if host := os.Getenv("DOCKER_HOST"); host != "" {
		return nil, fmt.Errorf("no engine answers at DOCKER_HOST=%s: %w", host, err)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("no Docker engine answers; start it, or run this once as root (it can install and start one on Debian and Ubuntu)")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		if err := InstallPackages(ctx, log, "docker.io", "iptables", "ca-certificates"); err != nil {
			return nil, err
		}
		notes = append(notes, "installed the Docker engine (Debian package docker.io)")
	}
	if err := needCLI(ctx, log); err != nil {
		return notes, err
	}
	how, err := start(ctx)
	if err != nil {
		return notes, err
	}
	return append(notes, how), nil
}

// needCLI installs the docker command where it is missing: kind runs it (nothing of ours does), and
// Debian 13 ships it in a package of its own.
func needCLI(ctx context.Context, log io.Writer) error {
	if _, err := exec.LookPath("docker"); err == nil {
		return nil
	}
	return InstallPackages(ctx, log, "docker-cli")
}

// InstallPackages installs Debian packages, or says in one line what to install where it can't.
// log receives apt's output; nil discards it.
func InstallPackages(ctx context.Context, log io.Writer, names ...string) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("please install (Debian's names): %s", strings.Join(names, " "))
	}
	progress.Report(ctx, progress.Update{What: "install " + strings.Join(names, " ")})
	if log == nil {
		log = io.Discard
	}
	for _, argv := range [][]string{
		{"apt-get", "update", "-q"},
		// The lock time-out: a machine that has just booted may still be running its own unattended upgrade.
		append([]string{"apt-get", "install", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"}, names...),
	} {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = io.MultiWriter(log, &out), io.MultiWriter(log, &out)
		// The engine's own package starts a daemon on installation: it must not inherit our terminal's signals.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Run(); err != nil {
			return &fault.Exec{Argv: argv, Tail: fault.Tail(out.Bytes(), 10), Err: err}
		}
	}
	return nil
}

// engineLog is where the output of an engine that we started goes.
const engineLog = "/var/log/dynsandbox-dockerd.log"

// start starts the installed engine and waits until it answers. It returns the line that says how.
func start(ctx context.Context) (string, error) {
	progress.Report(ctx, progress.Update{What: "start the Docker engine"})
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		if out, err := exec.CommandContext(ctx, "systemctl", "start", "docker").CombinedOutput(); err != nil {
			return "", &fault.Exec{Argv: []string{"systemctl", "start", "docker"}, Tail: fault.Tail(out, 10), Err: err}
		}
		return "started the Docker engine (systemd)", waitEngine(ctx, nil)
	}
	args, note, err := daemonArgs()
	if err != nil {
		return "", err
	}
	if err := clearStalePID("/var/run/docker.pid"); err != nil {
		return "", err
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

// clearStalePID removes the pid file of a daemon that was killed, and waits for one that is just ending.
func clearStalePID(path string) error {
	for range 100 {
		b, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b)))
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || strings.TrimSpace(string(comm)) != "dockerd" {
			return os.Remove(path)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return fmt.Errorf("a dockerd runs (%s) but doesn't answer", path)
}

// capSysResource is CAP_SYS_RESOURCE's bit (linux/capability.h).
const capSysResource = 24

// LacksSysResource reports whether this machine's capability bounding set is without CAP_SYS_RESOURCE, as in
// some virtual machines. Privileged containers and negative OOM scores can't be had there as they are.
func LacksSysResource() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	return lacksCapability(status, capSysResource)
}

func lacksCapability(status []byte, bit uint) bool {
	for line := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			set, err := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			return err == nil && set>>bit&1 == 0
		}
	}
	return false
}

//go:embed runc-without-sys-resource.sh
var runcShim []byte

// shimPath is where the runc wrapper is installed, on machines that need it.
const shimPath = "/usr/local/lib/dynsandbox/runc-without-sys-resource"

// daemonArgs returns dockerd's arguments for this machine: none, or a runtime that asks only for capabilities
// that can be had.
func daemonArgs() (args []string, note string, err error) {
	if !LacksSysResource() {
		return nil, "", nil
	}
	if err := os.MkdirAll(filepath.Dir(shimPath), 0o755); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(shimPath, runcShim, 0o755); err != nil {
		return nil, "", err
	}
	return []string{"--add-runtime", "dynsandbox=" + shimPath, "--default-runtime", "dynsandbox"},
		"; CAP_SYS_RESOURCE can't be had on this machine, so containers are started without it", nil
}
