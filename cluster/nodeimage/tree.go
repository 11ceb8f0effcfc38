package nodeimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// tree is the node's file system while it is put together. Everything goes through os.Root: links in it that point to
// absolute paths can't lead out onto this machine.
type tree struct {
	*os.Root
	b     *Builder
	dir   string
	parts cache
}

// openTree copies the Debian root into dir/root.
func (b *Builder) openTree(ctx context.Context, parts cache, dir string) (*tree, error) {
	to := filepath.Join(dir, "root")
	if _, err := b.run(ctx, command{dir: dir, argv: []string{"cp", "--archive", "--reflink=auto", filepath.Join(parts.path(rootfs), "root"), to}}); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return nil, err
	}
	return &tree{Root: root, b: b, dir: to, parts: parts}, nil
}

// fill adds everything but the Pods' images.
func (t *tree) fill(ctx context.Context) error {
	for _, add := range []func(context.Context) error{t.addKindFiles, t.addPrograms, t.addConfiguration, t.setUnits, t.removeDebris} {
		if err := add(ctx); err != nil {
			return err
		}
	}
	return nil
}

// addKindFiles installs the files of kind's base image, from kind's own module, with the modes that it gives them.
func (t *tree) addKindFiles(ctx context.Context) error {
	src, err := unpackModule("kind", filepath.Dir(t.dir))
	if err != nil {
		return err
	}
	out, err := t.b.run(ctx, command{dir: src, env: goEnv(), argv: []string{"go", "mod", "download", "-json", "sigs.k8s.io/kind"}})
	if err != nil {
		return err
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil || module.Dir == "" {
		return fmt.Errorf("find kind's module: %w", errors.Join(err, errors.New("go mod download named no folder")))
	}
	base := os.DirFS(filepath.Join(module.Dir, "images", "base", "files"))
	return fs.WalkDir(base, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Base(name) == "containerd-fuse-overlayfs.service" { // for rootless; not in this image
			return err
		}
		mode := fs.FileMode(0o644)
		if dir := path.Dir(name); dir == "usr/local/bin" || dir == "kind/bin" {
			mode = 0o755
		}
		text, err := fs.ReadFile(base, name)
		if err != nil {
			return err
		}
		return t.write(name, text, mode)
	})
}

// programs are where kind, kubeadm and systemd's units look for them.
var programs = []struct {
	part, file string
	to         string
	links      []string // other names, in the same folder or as absolute paths
}{
	{"containerd", "containerd", "usr/local/bin/containerd", nil},
	{"containerd", "ctr", "usr/local/bin/ctr", nil},
	{"containerd", "containerd-shim-runc-v2", "usr/local/bin/containerd-shim-runc-v2", nil},
	{"runc", "runc", "usr/local/sbin/runc", nil},
	{"cni", "host-local", "opt/cni/bin/host-local", nil},
	{"cni", "loopback", "opt/cni/bin/loopback", nil},
	{"cni", "ptp", "opt/cni/bin/ptp", nil},
	{"cni", "bridge", "opt/cni/bin/bridge", nil},
	{"cni", "portmap", "opt/cni/bin/portmap", nil},
	{"hyperkube", "hyperkube", "usr/bin/hyperkube", []string{"usr/bin/kubeadm", "usr/bin/kubelet", "usr/bin/kubectl", "usr/local/bin/crictl"}},
}

func (t *tree) addPrograms(ctx context.Context) error {
	for _, p := range programs {
		if err := t.MkdirAll(path.Dir(p.to), 0o755); err != nil {
			return err
		}
		from := t.built(p.part, p.file)
		if _, err := t.b.run(ctx, command{dir: t.dir, argv: []string{"install", "-m", "755", from, filepath.Join(t.dir, p.to)}}); err != nil {
			return err
		}
		for _, l := range p.links {
			if err := t.link("/"+p.to, l); err != nil {
				return err
			}
		}
	}
	return nil
}

// built is the path of a program in its part.
func (t *tree) built(partName, file string) string {
	for _, p := range allParts() {
		if p.name == partName {
			return filepath.Join(t.parts.path(p), file)
		}
	}
	panic("no part " + partName)
}

// addConfiguration writes what makes a node of it: the Pods' default OCI settings, the Pod network, the manifests that
// kind applies, the version that kind reads.
func (t *tree) addConfiguration(ctx context.Context) error {
	spec, err := t.b.run(ctx, command{dir: t.dir, argv: []string{t.built("containerd", "ctr"), "oci", "spec"}})
	if err != nil {
		return err
	}
	if spec, err = podSpec(spec); err != nil {
		return err
	}
	if err := t.write("etc/containerd/cri-base.json", spec, 0o644); err != nil {
		return err
	}
	if err := t.write("kind/version", []byte(kubernetesVersion()), 0o644); err != nil {
		return err
	}
	for from, to := range map[string]string{
		"cni.conflist":         "etc/cni/net.d/10-node-local.conflist",
		"default-cni.yaml":     "kind/manifests/default-cni.yaml",
		"default-storage.yaml": "kind/manifests/default-storage.yaml",
	} {
		text, err := files.ReadFile("files/" + from)
		if err != nil {
			return err
		}
		if err := t.write(to, text, 0o644); err != nil {
			return err
		}
	}
	return t.MkdirAll("etc/kubernetes/manifests", 0o755)
}

// podSpec changes containerd's default OCI specification as kind does: a hook that shows Pods the node's product
// files, and no limits of its own.
func podSpec(spec []byte) ([]byte, error) {
	var s map[string]any
	if err := json.Unmarshal(spec, &s); err != nil {
		return nil, fmt.Errorf("read containerd's default OCI specification: %w", err)
	}
	hooks, _ := s["hooks"].(map[string]any)
	if hooks == nil {
		hooks = map[string]any{}
		s["hooks"] = hooks
	}
	create, _ := hooks["createContainer"].([]any)
	hooks["createContainer"] = append(create, map[string]any{"path": "/kind/bin/mount-product-files.sh"})
	if p, ok := s["process"].(map[string]any); ok {
		delete(p, "rlimits")
	}
	return json.MarshalIndent(s, "", "  ")
}

// write writes a file with its folders, replacing one that is there.
func (t *tree) write(name string, text []byte, mode fs.FileMode) error {
	if err := t.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := t.WriteFile(name, text, mode); err != nil {
		return err
	}
	return t.Chmod(name, mode) // the process's umask doesn't count
}

// link makes name a symbolic link, replacing what is there.
func (t *tree) link(target, name string) error {
	if err := t.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	if err := t.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return t.Symlink(target, name)
}
