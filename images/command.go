package images

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// CommandBuilder builds services of any language with the command that their [ServiceFile] names. The command leaves
// an image in the engine, or an OCI layout.
type CommandBuilder struct {
	Workspace string
	Cache     string // folder for layers
	Docker    client.APIClient
	Offline   bool // an image of just these sources that came with a bundle is taken before the command is run
}

// Build builds one service: several are built by a [Limited]. The command isn't asked for less than a build: what it
// reads is not known here.
func (b *CommandBuilder) Build(ctx context.Context, svc Service) (v1.Image, error) {
	how, err := readServiceFile(b.Workspace, svc)
	if err != nil {
		return nil, err
	}
	if img, err := b.bundled(ctx, svc); err != nil || img != nil {
		return img, err
	}
	dir := filepath.Join(b.Workspace, filepath.FromSlash(svc.Dir))
	unlock, err := b.lock(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("wait for another build of the same service: %w", err)
	}
	defer unlock()
	if err := runCommand(ctx, svc.Name, dir, how); err != nil {
		return nil, err
	}
	kept, err := b.result(ctx, dir, how)
	if err != nil {
		return nil, fmt.Errorf("take what %s left: %w", strings.Join(how.argv, " "), err)
	}
	return kept.image(b.Cache)
}

// lock keeps two sandboxes on one workspace from running a command in one folder at the same time.
func (b *CommandBuilder) lock(ctx context.Context, dir string) (unlock func(), err error) {
	hash, err := pathHash(dir)
	if err != nil {
		return nil, err
	}
	locks := filepath.Join(b.Cache, "commands")
	if err := os.MkdirAll(locks, 0o755); err != nil {
		return nil, err
	}
	return lockFile(ctx, filepath.Join(locks, hash+".lock"))
}

// result reads the image that the command left.
func (b *CommandBuilder) result(ctx context.Context, dir string, how commandBuild) (keptImage, error) {
	if how.oci != "" {
		return readLayout(ctx, b.Cache, filepath.Join(dir, filepath.FromSlash(how.oci)))
	}
	info, err := b.Docker.ImageInspect(ctx, how.image)
	if errdefs.IsNotFound(err) {
		return keptImage{}, fmt.Errorf("the engine has no image %s", how.image)
	}
	if err != nil {
		return keptImage{}, fmt.Errorf("look for image %s: %w", how.image, err)
	}
	kept, err := readEngineImage(ctx, b.Docker, b.Cache, info.ID)
	if err != nil {
		return keptImage{}, fmt.Errorf("image %s: %w", how.image, err)
	}
	return kept, nil
}

// runCommand runs a service's command, and shows each line that it prints.
func runCommand(ctx context.Context, service, dir string, how commandBuild) error {
	cmd := exec.CommandContext(ctx, how.argv[0], how.argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "DYNSANDBOX_IMAGE="+cmp.Or(how.image, service))
	output := commandOutput{each: func(line string) {
		progress.Report(ctx, progress.Update{What: "build " + service + ": " + line})
	}}
	cmd.Stdout, cmd.Stderr = &output, &output
	// A make that is interrupted must not leave its compiler behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if ctx.Err() != nil && cmd.Process != nil {
		// Those of its children that ignored the signal. They may all have ended.
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // see above
	}
	if err != nil {
		return &fault.Exec{Argv: how.argv, Tail: output.text(), Err: cmp.Or(ctx.Err(), err)}
	}
	return nil
}
