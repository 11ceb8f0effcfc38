package nodeimage

import (
	"context"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// debianSuite is the release that the node's root file system is made of. Its systemd boots on cgroup v1 as on v2.
const debianSuite = "bookworm"

// debianPackages are what kind's own node image has, less what only rootless, NFS and iSCSI take, plus
// busybox-static, which becomes the image of local-path-provisioner's helper Pods.
var debianPackages = []string{
	"systemd", "conntrack", "iptables", "nftables", "iproute2", "ethtool", "util-linux", "mount", "kmod", "libseccomp2",
	"pigz", "e2fsprogs", "ca-certificates", "jq", "procps", "busybox-static",
}

// rootfs is a minimal Debian, in the folder root of the part.
var rootfs = part{
	name:   "rootfs",
	inputs: append([]string{"1", debianSuite}, debianPackages...),
	expect: 100 * time.Second,
	needs:  []tool{debootstrap},
	make: func(ctx context.Context, b *Builder, dir string) error {
		argv := []string{"nice", "-n", "5", "debootstrap", "--variant=minbase", "--include=" + strings.Join(debianPackages, ","),
			debianSuite, filepath.Join(dir, "root")}
		if m := debianMirror(os.DirFS("/")); m != "" {
			argv = append(argv, m)
		}
		_, err := b.run(ctx, command{dir: dir, argv: argv})
		return err
	},
}

// debianMirror returns the archive that this machine's apt uses for Debian itself, or "" where that can't be told
// (then debootstrap's own default serves): another distribution, or a URI that debootstrap doesn't understand.
func debianMirror(root fs.FS) string {
	release, err := fs.ReadFile(root, "etc/os-release")
	if err != nil || setting(string(release), "ID") != "debian" {
		return ""
	}
	suites := []string{setting(string(release), "VERSION_CODENAME"), "stable", "oldstable", "testing", "unstable", "sid"}
	lists, _ := fs.Glob(root, "etc/apt/sources.list.d/*") // an error means a malformed pattern
	for _, name := range append([]string{"etc/apt/sources.list"}, lists...) {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			continue
		}
		sources := parseStanzas
		if strings.HasSuffix(name, ".list") {
			sources = parseOneLine
		}
		for _, s := range sources(string(text)) {
			// Other archives have a suite of the same name, too; that of Debian itself ends so on all its mirrors.
			if u, err := url.Parse(s.uri); err == nil && slices.Contains([]string{"http", "https", "file"}, u.Scheme) &&
				strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/debian") &&
				slices.Contains(s.components, "main") && slices.ContainsFunc(s.suites, func(n string) bool { return slices.Contains(suites, n) }) {
				return s.uri
			}
		}
	}
	return ""
}

type aptSource struct {
	uri                string
	suites, components []string
}

// parseOneLine reads lines like `deb [options] URI suite component...`.
func parseOneLine(text string) []aptSource {
	var found []aptSource
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "deb ")
		if !ok {
			continue
		}
		if _, after, ok := strings.Cut(rest, "]"); ok {
			rest = after
		}
		if f := strings.Fields(rest); len(f) >= 3 {
			found = append(found, aptSource{f[0], f[1:2], f[2:]})
		}
	}
	return found
}

// parseStanzas reads the deb822 format: paragraphs of `Field: values`.
func parseStanzas(text string) []aptSource {
	var found []aptSource
	for _, stanza := range strings.Split(text, "\n\n") {
		field := map[string][]string{}
		last := ""
		for line := range strings.Lines(stanza) {
			if strings.HasPrefix(line, "#") {
				continue
			}
			if name, value, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, " ") {
				last = strings.ToLower(name)
				field[last] = strings.Fields(value)
			} else {
				field[last] = append(field[last], strings.Fields(line)...)
			}
		}
		if !slices.Contains(field["types"], "deb") || slices.Contains(field["enabled"], "no") {
			continue
		}
		for _, uri := range field["uris"] {
			found = append(found, aptSource{uri, field["suites"], field["components"]})
		}
	}
	return found
}

// setting returns a variable of an os-release file.
func setting(text, name string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+"="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return ""
}
