package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// podImage is one of the images that Pods of a fresh cluster run, under all names that they are asked for by.
type podImage struct {
	refs       []string
	entrypoint []string
	entries    []entry
}

// podImages are those that kubeadm asks for, and those of the storage manifest. Each is one layer with hardly more
// than the program in it.
func (t *tree) podImages(ctx context.Context) ([]podImage, error) {
	out, err := t.b.run(ctx, command{dir: t.dir, argv: []string{t.built("hyperkube", "hyperkube"), "kubeadm", "config", "images", "list", "--kubernetes-version", kubernetesVersion()}})
	if err != nil {
		return nil, err
	}
	asked := strings.Fields(string(out)) // warnings go to standard error
	sandbox, err := t.sandboxImage()
	if err != nil {
		return nil, err
	}
	proxy, err := t.proxyFiles()
	if err != nil {
		return nil, err
	}
	debian := filepath.Join(t.parts.path(rootfs), "root")
	kube := append([]entry{{from: t.built("hyperkube", "hyperkube"), to: "/usr/local/bin/hyperkube", mode: 0o755}}, proxy...)
	var kubeRefs []string
	for _, program := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"} {
		kube = append(kube, entry{link: "hyperkube", to: "/usr/local/bin/" + program})
		kubeRefs = append(kubeRefs, named(asked, program)...)
	}
	images := []podImage{
		{refs: kubeRefs, entries: kube},
		{refs: named(asked, "etcd"), entrypoint: []string{"/usr/local/bin/etcd"}, entries: []entry{
			{from: t.built("etcd", "server"), to: "/usr/local/bin/etcd", mode: 0o755}, {to: "/var/lib/etcd/"}}},
		{refs: named(asked, "coredns"), entrypoint: []string{"/coredns"}, entries: []entry{
			{from: t.built("coredns", "coredns"), to: "/coredns", mode: 0o755},
			{from: filepath.Join(debian, "etc/ssl/certs/ca-certificates.crt"), to: "/etc/ssl/certs/ca-certificates.crt", mode: 0o644}}},
		// containerd's configuration and kubeadm name different versions of it.
		{refs: slices.Compact(append(named(asked, "pause"), sandbox)), entrypoint: []string{"/pause"}, entries: []entry{
			{from: t.built("pause", "pause"), to: "/pause", mode: 0o755}}},
		{refs: []string{"docker.io/kindest/local-path-provisioner:local"}, entrypoint: []string{"/usr/local/bin/local-path-provisioner"}, entries: []entry{
			{from: t.built("local-path-provisioner", "local-path-provisioner"), to: "/usr/local/bin/local-path-provisioner", mode: 0o755}}},
		{refs: []string{"docker.io/kindest/local-path-helper:local"}, entries: []entry{
			{from: filepath.Join(debian, "usr/bin/busybox"), to: "/bin/busybox", mode: 0o755},
			{link: "busybox", to: "/bin/sh"}, {link: "busybox", to: "/bin/mkdir"}, {link: "busybox", to: "/bin/rm"}}},
	}
	for _, ref := range asked {
		if !slices.ContainsFunc(images, func(i podImage) bool { return slices.Contains(i.refs, ref) }) {
			return nil, fmt.Errorf("kubeadm asks for %s, which isn't made here", ref)
		}
	}
	return images, nil
}

// named returns the references whose last element is a given one.
func named(refs []string, last string) []string {
	var found []string
	for _, r := range refs {
		if base, _, _ := strings.Cut(path.Base(r), ":"); base == last {
			found = append(found, r)
		}
	}
	return found
}

var sandboxLine = regexp.MustCompile(`(?m)^\s*sandbox_image\s*=\s*"([^"]+)"`)

// sandboxImage is the image that containerd's configuration names for Pods' own containers.
func (t *tree) sandboxImage() (string, error) {
	conf, err := t.ReadFile("etc/containerd/config.toml")
	if err != nil {
		return "", err
	}
	m := sandboxLine.FindSubmatch(conf)
	if m == nil {
		return "", errors.New("kind's containerd configuration names no sandbox image")
	}
	return string(m[1]), nil
}

// proxyFiles are what kube-proxy runs: nft and both flavours of iptables, with their plugins and all libraries.
func (t *tree) proxyFiles() ([]entry, error) {
	debian := filepath.Join(t.parts.path(rootfs), "root")
	programs := []string{"/usr/sbin/nft", "/usr/sbin/xtables-nft-multi", "/usr/sbin/xtables-legacy-multi"}
	plugins, err := filepath.Glob(filepath.Join(debian, "usr/lib/*/xtables/*.so"))
	if err != nil {
		return nil, err
	}
	for _, p := range plugins {
		programs = append(programs, "/"+mustRel(debian, p))
	}
	entries, err := closure(debian, programs)
	if err != nil {
		return nil, err
	}
	for _, n := range []string{"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"} {
		entries = append(entries, entry{link: "xtables-nft-multi", to: "/usr/sbin/" + n})
	}
	for _, n := range []string{"/etc/protocols", "/etc/services"} {
		entries = append(entries, entry{from: filepath.Join(debian, n), to: n, mode: 0o644})
	}
	return append(entries, entry{to: "/tmp/"}, entry{to: "/run/"}), nil
}

// image makes the image, and its names.
func (p podImage) image() (v1.Image, []name.Tag, error) {
	img, err := oneLayer(archive(p.entries), time.Unix(0, 0).UTC(), v1.Config{
		Entrypoint: p.entrypoint,
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	})
	if err != nil {
		return nil, nil, err
	}
	var tags []name.Tag
	for _, r := range p.refs {
		tag, err := name.NewTag(r)
		if err != nil {
			return nil, nil, err
		}
		tags = append(tags, tag)
	}
	return img, tags, nil
}
