package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// installing is held by the one installation of this process that may run: phases of a bring-up install side by side.
var installing = make(chan struct{}, 1)

// InstallPackages installs those of the Debian packages that aren't, or says in one line what to install where it
// can't. log receives apt's output; nil discards it.
//
// When ctx ends, what dpkg has begun is let finish: a kill would leave the machine's packages half configured.
func InstallPackages(ctx context.Context, log io.Writer, names ...string) error {
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("please install (Debian's names): %s", strings.Join(names, " "))
	}
	progress.Report(ctx, progress.Update{What: "install " + strings.Join(names, " ")})
	select {
	case installing <- struct{}{}:
		defer func() { <-installing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if log == nil {
		log = io.Discard
	}
	return apt{log: log, every: 2 * time.Second, patience: 5 * time.Minute}.install(ctx, names)
}

// apt runs Debian's package tools.
type apt struct {
	log      io.Writer
	every    time.Duration // between two tries while another process has the lock
	patience time.Duration // with that process
}

func (a apt) install(ctx context.Context, names []string) error {
	if names = a.absent(ctx, names); len(names) == 0 {
		return nil
	}
	if err := a.update(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Minute)
	defer cancel()
	// The lock time-out: a machine that has just booted may still be running its own unattended upgrade.
	argv := append([]string{"apt-get", "install", "-q", "-y", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"}, names...)
	out, err := a.run(whole, argv...)
	if err != nil && strings.Contains(out, "dpkg was interrupted") {
		if _, err := a.run(whole, "dpkg", "--configure", "-a"); err != nil {
			return err
		}
		_, err = a.run(whole, argv...)
	}
	return errors.Join(err, ctx.Err())
}

// absent returns the packages that aren't installed.
func (a apt) absent(ctx context.Context, names []string) []string {
	// It fails when it doesn't know one of them, and lists the others all the same.
	out, _ := exec.CommandContext(ctx, "dpkg-query", append([]string{"--show", "--showformat", "${db:Status-Status} ${Package}\n", "--"}, names...)...).Output()
	have := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "installed "); ok {
			have[name] = true
		}
	}
	var absent []string
	for _, n := range names {
		if !have[n] {
			absent = append(absent, n)
		}
	}
	return absent
}

// update gets the lists of packages, for whose lock apt doesn't wait.
func (a apt) update(ctx context.Context) error {
	began := time.Now()
	for {
		out, err := a.run(ctx, "apt-get", "update", "-q")
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !strings.Contains(out, "Could not get lock") && !strings.Contains(out, "Unable to lock") {
			return err
		}
		if time.Since(began) > a.patience {
			return &fault.Timeout{WaitedFor: "another process to let go of apt's lock", LastSeen: fault.Tail([]byte(out), 2), After: time.Since(began)}
		}
		progress.Report(ctx, progress.Update{What: "wait for another process that installs packages"})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(a.every):
		}
	}
}

// run runs one command and returns all that it printed.
func (a apt) run(ctx context.Context, argv ...string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	w := io.MultiWriter(a.log, &out)
	cmd.Stdout, cmd.Stderr = w, w
	// A group of its own: the terminal's Ctrl-C must reach neither dpkg nor a daemon that a package starts.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second // such a daemon holds the output open
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return out.String(), &fault.Exec{Argv: argv, Tail: fault.Tail(out.Bytes(), 10), Err: err}
	}
	return out.String(), nil
}
