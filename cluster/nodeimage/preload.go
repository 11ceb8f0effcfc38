package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// preload puts the Pods' images into the tree's containerd as unpacked snapshots, so that the node's first boot
// neither loads nor unpacks anything. The node's own containerd does it, run here with its root in the tree.
func (t *tree) preload(ctx context.Context) (err error) {
	images, err := t.podImages(ctx)
	if err != nil {
		return err
	}
	run, err := newRunDir(filepath.Join(filepath.Dir(t.dir), "containerd"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, run.remove()) }()
	stop, err := t.startContainerd(ctx, run)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	var refs []string
	for _, p := range images {
		if err := t.importImage(ctx, run, p); err != nil {
			return fmt.Errorf("import %s: %w", p.refs[0], err)
		}
		refs = append(refs, p.refs...)
	}
	// The layers' archives have no owner any more: this collects them.
	if _, err := t.ctr(ctx, run, nil, "content", "prune", "references"); err != nil {
		return err
	}
	out, err := t.ctr(ctx, run, nil, "images", "list", "--quiet")
	if err != nil {
		return err
	}
	for _, r := range refs {
		if !slices.Contains(strings.Fields(string(out)), r) {
			return fmt.Errorf("image %s isn't in the node's containerd after its import", r)
		}
	}
	return nil
}

// runDir is where containerd keeps what it needs while it runs. Its sockets are in a folder of their own: the kernel
// takes no longer path than 107 bytes for one (containerd 104), and the cache may lie deep.
type runDir struct{ dir, sockets string }

func newRunDir(dir string) (runDir, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return runDir{}, err
	}
	sockets, err := os.MkdirTemp("", "dynsandbox-") // mode 0700
	return runDir{dir, sockets}, err
}

func (r runDir) path(name string) string   { return filepath.Join(r.dir, name) }
func (r runDir) socket(name string) string { return filepath.Join(r.sockets, name) }
func (r runDir) remove() error             { return os.RemoveAll(r.sockets) }

// importImage streams an image into containerd, which keeps the unpacked layer and drops the archive. Pinned images
// aren't collected by the kubelet when the disk fills.
func (t *tree) importImage(ctx context.Context, run runDir, p podImage) error {
	img, tags, err := p.image()
	if err != nil {
		return err
	}
	refs := map[name.Reference]v1.Image{}
	for _, tag := range tags {
		refs[tag] = img
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(tarball.MultiRefWrite(refs, w)) }()
	defer r.Close()
	_, err = t.ctr(ctx, run, r, "images", "import", "--local", "--discard-unpacked-layers", "--snapshotter", "overlayfs",
		"--label", "io.cri-containerd.pinned=pinned", "--digests", "--skip-digest-for-named", "-")
	return err
}

func (t *tree) ctr(ctx context.Context, run runDir, stdin io.Reader, args ...string) ([]byte, error) {
	argv := append([]string{t.built("containerd", "ctr"), "--address", run.socket("grpc"), "--namespace", "k8s.io"}, args...)
	return t.b.run(ctx, command{dir: run.dir, stdin: stdin, argv: argv})
}

// containerdConfig leaves out everything that starts Pods, and keeps all paths in the scratch folder.
const containerdConfig = `version = 2
root = %q
state = %q
temp = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]
[grpc]
  address = %q
[ttrpc]
  address = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
`

func (r runDir) config(root string) string {
	return fmt.Sprintf(containerdConfig, root, r.path("state"), r.path("temp"), r.socket("grpc"), r.socket("ttrpc"), r.path("opt"))
}

// startContainerd starts containerd and waits until it answers. stop ends it and waits until its files are closed.
func (t *tree) startContainerd(ctx context.Context, run runDir) (stop func() error, err error) {
	file := run.path("config.toml")
	if err := os.WriteFile(file, []byte(run.config(filepath.Join(t.dir, "var/lib/containerd"))), 0o600); err != nil {
		return nil, err
	}
	argv := []string{t.built("containerd", "containerd"), "--config", file, "--log-level", "warn"}
	cmd, tail := t.b.command(ctx, command{dir: run.dir, argv: argv})
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	died := make(chan error, 1)
	go func() { died <- cmd.Wait() }()
	stop = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		<-died
		return nil
	}
	began := time.Now()
	for {
		_, err := t.ctr(ctx, run, nil, "version")
		if err == nil {
			return stop, nil
		}
		select {
		case e := <-died:
			return nil, tail.fault(argv, e)
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), stop())
		case <-time.After(100 * time.Millisecond):
		}
		if time.Since(began) > 30*time.Second {
			return nil, errors.Join(&fault.Timeout{WaitedFor: "containerd to answer", LastSeen: err.Error(), After: time.Since(began)}, stop())
		}
	}
}
