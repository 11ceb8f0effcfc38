package nodeimage

import (
	"context"
	"io/fs"
	"strings"
)

// unwanted are what Debian's systemd would start and a node doesn't need or can't run, as in kind's base image.
var unwanted = []string{
	"usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service",
	"usr/lib/systemd/system/multi-user.target.wants/*",
	"usr/lib/systemd/system/local-fs.target.wants/*",
	"usr/lib/systemd/system/basic.target.wants/*",
	"usr/lib/systemd/system/sockets.target.wants/*udev*",
	"usr/lib/systemd/system/sockets.target.wants/*initctl*",
	"etc/systemd/system/*.wants/*",
}

// setUnits makes the tree boot as a node: systemd as init, containerd and the kubelet started by it.
func (t *tree) setUnits(ctx context.Context) error {
	if err := t.removeMatching(unwanted); err != nil {
		return err
	}
	const journald = "etc/systemd/journald.conf"
	conf, err := t.ReadFile(journald)
	if err != nil {
		return err
	}
	if !strings.Contains(string(conf), "\nReadKMsg=no") {
		// The kernel's messages are the machine's, not the node's.
		if err := t.write(journald, append(conf, "ReadKMsg=no\n"...), 0o644); err != nil {
			return err
		}
	}
	if err := t.link("/usr/lib/systemd/systemd", "usr/sbin/init"); err != nil {
		return err
	}
	for _, argv := range [][]string{
		{"systemctl", "enable", "kubelet.service", "containerd.service", "undo-mount-hacks.service"},
		{"systemctl", "mask", "systemd-binfmt.service"},
	} {
		if _, err := t.b.run(ctx, command{dir: t.dir, argv: append([]string{"chroot", t.dir}, argv...)}); err != nil {
			return err
		}
	}
	return nil
}

// debris is what nobody reads in a node, what the first boot makes anew, and what says where the image was built.
var debris = []string{
	"usr/share/doc/*", "usr/share/man/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/lintian", "usr/share/bug",
	"usr/lib/*/gconv", // character sets other than Unicode
	"var/cache/apt/*", "var/cache/debconf/*", "var/lib/apt/lists/*", "var/log/*", "tmp/*", "var/tmp/*",
	"etc/apt/sources.list", "etc/machine-id", "etc/resolv.conf", "etc/hostname",
	"usr/bin/busybox", // it is in an image of its own
}

func (t *tree) removeDebris(context.Context) error { return t.removeMatching(debris) }

func (t *tree) removeMatching(patterns []string) error {
	for _, p := range patterns {
		names := []string{p} // as it is: Glob doesn't see a link that leads nowhere
		if strings.Contains(p, "*") {
			var err error
			if names, err = fs.Glob(t.FS(), p); err != nil {
				return err
			}
		}
		for _, n := range names {
			if err := t.RemoveAll(n); err != nil {
				return err
			}
		}
	}
	return nil
}
