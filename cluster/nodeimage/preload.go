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
	run := filepath.Join(filepath.Dir(t.dir), "containerd")
	if err := os.Mkdir(run, 0o700); err != nil {
		return err
	}
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

// importImage streams an image into containerd, which keeps the unpacked layer and drops the archive. Pinned images
// aren't collected by the kubelet when the disk fills.
func (t *tree) importImage(ctx context.Context, run string, p podImage) error {
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

func (t *tree) ctr(ctx context.Context, run string, stdin io.Reader, args ...string) ([]byte, error) {
	argv := append([]string{t.built("containerd", "ctr"), "--address", filepath.Join(run, "sock"), "--namespace", "k8s.io"}, args...)
	return t.b.run(ctx, command{dir: run, stdin: stdin, argv: argv})
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

// startContainerd starts containerd and waits until it answers. stop ends it and waits until its files are closed.
func (t *tree) startContainerd(ctx context.Context, run string) (stop func() error, err error) {
	in := func(name string) string { return filepath.Join(run, name) }
	config := fmt.Sprintf(containerdConfig, filepath.Join(t.dir, "var/lib/containerd"), in("state"), in("temp"), in("sock"), in("ttrpc"), in("opt"))
	if err := os.WriteFile(in("config.toml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	argv := []string{t.built("containerd", "containerd"), "--config", in("config.toml"), "--log-level", "warn"}
	cmd, tail := t.b.command(ctx, command{dir: run, argv: argv})
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
