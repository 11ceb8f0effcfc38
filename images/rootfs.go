package images

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// makeRoot makes a recipe's file system, and packs it into archive.
func (t *ThirdParty) makeRoot(ctx context.Context, r recipe, archive string) error {
	if t.Offline {
		return ErrOffline
	}
	if os.Geteuid() != 0 {
		return errors.New("it is made with debootstrap, which needs root")
	}
	apt := hostAptSettings(ctx)
	base, err := t.base(ctx, r.suite, apt)
	if err != nil {
		return err
	}
	root, err := t.workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	if err := t.run(ctx, "tar", "-xpf", base, "-C", root); err != nil {
		return err
	}
	undo, err := apt.apply(root, r.suite)
	if err != nil {
		return fmt.Errorf("hand the machine's apt settings on: %w", err)
	}
	progress.Report(ctx, progress.Update{What: fmt.Sprintf("install %s %s (Debian %s)", r.name, r.version, r.suite)})
	if err := t.chroot(ctx, root, installScript, r.packages...); err != nil {
		return err
	}
	undo()
	if err := t.chroot(ctx, root, "set -e\n"+strip+r.finish); err != nil {
		return err
	}
	return t.pack(ctx, root, archive)
}

// installScript installs its arguments. No service may be started by a package's own scripts.
const installScript = `set -e
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
rm /usr/sbin/policy-rc.d
`

// bootstrapArgs are what debootstrap is told beside where, whence and which release.
var bootstrapArgs = []string{"--variant=minbase", "--include=ca-certificates"}

// base returns the packed minimal system of a Debian release, made with debootstrap when it isn't in the cache.
func (t *ThirdParty) base(ctx context.Context, suite string, apt aptSettings) (string, error) {
	archive := filepath.Join(t.dir(), fmt.Sprintf("base-%s-%s.tar", suite, baseHash(suite)))
	if exists(archive) {
		return archive, nil
	}
	tool, err := lookSbin("debootstrap")
	if err != nil {
		if t.Install == nil {
			return "", errors.New("please install debootstrap")
		}
		if err := t.Install(ctx, "debootstrap"); err != nil {
			return "", err
		}
		if tool, err = lookSbin("debootstrap"); err != nil {
			return "", err
		}
	}
	root, err := t.workDir()
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(root)
	progress.Report(ctx, progress.Update{What: "bootstrap Debian " + suite, Total: 60, Unit: "s"})
	argv := slices.Concat([]string{tool}, bootstrapArgs, []string{suite, root})
	if apt.mirror != "" {
		argv = append(argv, apt.mirror)
	}
	if err := t.isolated(ctx, argv...); err != nil {
		return "", err
	}
	if err := t.chroot(ctx, root, "set -e\n"+strip); err != nil {
		return "", err
	}
	return archive, t.pack(ctx, root, archive)
}

// workDir returns a new folder, beside the archives. The caller holds the lock.
func (t *ThirdParty) workDir() (string, error) {
	dir, err := scratchDir(t.dir(), "work-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755) // it becomes the mode of "/"
}

// pack writes a file system's archive. It appears under its name only when it is whole.
func (t *ThirdParty) pack(ctx context.Context, root, archive string) error {
	part := archive + ".part"
	defer os.Remove(part)
	if err := t.run(ctx, "tar", "--sort=name", "--numeric-owner", "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*",
		"--exclude=./run/*", "--exclude=./tmp/*", "-cf", part, "-C", root, "."); err != nil {
		return err
	}
	return os.Rename(part, archive)
}

// chroot runs a script with arguments in root, as if root were the machine's.
func (t *ThirdParty) chroot(ctx context.Context, root, script string, args ...string) error {
	const enter = `mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" /bin/sh "$@"`
	return t.isolated(ctx, append([]string{"sh", "-c", enter, root, "-c", script, "sh"}, args...)...)
}

// isolated runs a command in mount and process namespaces of its own, which end with it and with us: however it
// ends, nothing stays mounted and nothing stays running.
func (t *ThirdParty) isolated(ctx context.Context, argv ...string) error {
	return t.run(ctx, append([]string{"setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"}, argv...)...)
}

func (t *ThirdParty) run(ctx context.Context, argv ...string) error {
	var out bytes.Buffer
	w := io.Writer(&out)
	if t.Log != nil {
		w = io.MultiWriter(t.Log, &out)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", "PATH="+systemPath)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return &fault.Exec{Argv: argv, Tail: fault.Tail(out.Bytes(), 10), Err: err}
	}
	return nil
}

// lookSbin finds a program that may be outside a user's PATH.
func lookSbin(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", program))
}
