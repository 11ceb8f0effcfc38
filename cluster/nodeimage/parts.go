package nodeimage

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"time"
)

// modules holds one folder for each Go part: its dependencies (go.mod and go.sum, under names that embed accepts) and,
// where upstream has no main package of the right shape, ours.
//
//go:embed modules
var modules embed.FS

//go:embed files
var files embed.FS

// part is one cached piece of the image: a folder named after the hash of what goes in.
type part struct {
	name   string
	inputs []string // everything that changes the outcome, and nothing else
	expect time.Duration
	needs  []tool
	make   func(ctx context.Context, b *Builder, dir string) error // fills the empty folder dir
}

// key is the part's folder name in the cache.
func (p part) key() string { return p.name + "-" + hash(p.inputs...)[:16] }

// goParts are the programs compiled from Go modules, the longest first. Times are for two cores, nothing cached.
var goParts = []goPart{
	{name: "hyperkube", packages: ".", ldflags: kubernetesVersionFlags(), expect: 540 * time.Second},
	{name: "local-path-provisioner", packages: "tool", expect: 80 * time.Second,
		ldflags: "-X main.VERSION=" + moduleVersion("local-path-provisioner", "github.com/rancher/local-path-provisioner")},
	{name: "coredns", packages: ".", expect: 72 * time.Second},
	{name: "containerd", packages: "tool", tags: "no_aufs no_zfs no_btrfs no_devmapper", expect: 60 * time.Second,
		ldflags: "-X github.com/containerd/containerd/v2/version.Version=" + moduleVersion("containerd", "github.com/containerd/containerd/v2")},
	{name: "etcd", packages: "tool", expect: 33 * time.Second},
	// Linked statically, because the C libraries of the machine that builds may be newer than the image's.
	{name: "runc", packages: "tool", cgo: true, tags: "seccomp netgo osusergo", ldflags: "-extldflags -static", expect: 21 * time.Second,
		needs: []tool{cCompiler, libseccomp}},
	{name: "cni", packages: "tool", expect: 6 * time.Second,
		ldflags: "-X github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion=" + moduleVersion("cni", "github.com/containernetworking/plugins")},
}

// allParts are the parts of the image that this version of the package makes.
func allParts() []part {
	parts := make([]part, 0, len(goParts)+2)
	for _, g := range goParts {
		parts = append(parts, g.part())
	}
	return append(parts, pause, rootfs)
}

// assembly names the way the parts are put together; change it with every change to that which changes the image.
const assembly = "1"

// inputsHash identifies the image: all parts, the files that are added to them, and how.
func inputsHash() string {
	inputs := []string{assembly, moduleVersion("kind", "sigs.k8s.io/kind"), hashFiles(files, "files")}
	for _, p := range allParts() {
		inputs = append(inputs, p.key())
	}
	return hash(inputs...)
}

// hash is the SHA-256, in hex, of strings together with the processor architecture.
func hash(inputs ...string) string {
	h := sha256.New()
	for _, s := range append([]string{runtime.GOARCH}, inputs...) {
		fmt.Fprintf(h, "%d:%s\n", len(s), s) // lengths, so that no two lists look alike
	}
	return hex.EncodeToString(h.Sum(nil))
}

// hashFiles is the hash of an embedded folder: names and contents.
func hashFiles(fsys fs.FS, dir string) string {
	var inputs []string
	err := fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(fsys, name)
		inputs = append(inputs, name, string(b))
		return err
	})
	if err != nil {
		panic("embedded folder " + dir + ": " + err.Error()) // a folder that the compiler didn't embed: a typing error here
	}
	return hash(inputs...)
}

// moduleVersion returns the version of a Go module that a part is made of.
func moduleVersion(part, module string) string {
	mod, err := modules.ReadFile(path.Join("modules", part, "go.mod.txt"))
	if err != nil {
		panic(err) // as above
	}
	for lines := bufio.NewScanner(bytes.NewReader(mod)); lines.Scan(); {
		fields := strings.Fields(strings.TrimPrefix(lines.Text(), "require "))
		if len(fields) >= 2 && fields[0] == module && strings.HasPrefix(fields[1], "v") {
			return fields[1]
		}
	}
	panic("modules/" + part + "/go.mod.txt doesn't require " + module)
}

// kubernetesVersion is the version of the cluster that the image gives, as "v1.37.2".
func kubernetesVersion() string { return moduleVersion("hyperkube", "k8s.io/kubernetes") }

// kubernetesVersionFlags are the linker flags that tell Kubernetes its version: kubeadm refuses one without.
func kubernetesVersionFlags() string {
	version := kubernetesVersion()
	number := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	var flags []string
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for _, v := range [][2]string{
			{"gitVersion", version}, {"gitMajor", number[0]}, {"gitMinor", number[1]},
			{"gitCommit", strings.Repeat("0", 40)}, {"gitTreeState", "clean"}, {"buildDate", "1970-01-01T00:00:00Z"},
		} {
			flags = append(flags, "-X "+pkg+"."+v[0]+"="+v[1])
		}
	}
	return strings.Join(flags, " ")
}
