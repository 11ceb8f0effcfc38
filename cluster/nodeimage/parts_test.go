package nodeimage

import (
	"bufio"
	"bytes"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	kindversion "sigs.k8s.io/kind/pkg/cmd/kind/version"
)

func TestRef(t *testing.T) {
	t.Parallel()
	b := new(Builder)
	if !regexp.MustCompile(`^dynsandbox/node:v1\.\d+\.\d+-[0-9a-f]{12}$`).MatchString(b.Ref()) {
		t.Errorf("Ref() = %q", b.Ref())
	}
	if b.Ref() != new(Builder).Ref() {
		t.Error("Ref() isn't the same twice")
	}
	if v, ok := versionFromTag(b.Ref()); !ok || v != kubernetesVersion() {
		t.Errorf("versionFromTag(%q) = %q, %v; want %q", b.Ref(), v, ok, kubernetesVersion())
	}
}

// Everything that changes a part must change its key, and nothing else.
func TestPartKey(t *testing.T) {
	t.Parallel()
	base := goPart{name: "runc", packages: "tool", tags: "a", ldflags: "-X b=c"}
	same := base
	if same.part().key() != base.part().key() {
		t.Error("the same part has two keys")
	}
	for name, change := range map[string]func(*goPart){
		"packages": func(g *goPart) { g.packages = "." },
		"cgo":      func(g *goPart) { g.cgo = true },
		"tags":     func(g *goPart) { g.tags = "a b" },
		"ldflags":  func(g *goPart) { g.ldflags = "" },
		"boundary": func(g *goPart) { g.tags, g.ldflags = "a-X", " b=c" },
		"module":   func(g *goPart) { g.name = "cni" },
	} {
		g := base
		change(&g)
		if g.part().key() == base.part().key() {
			t.Errorf("%s: the key stays the same", name)
		}
	}
}

func TestHashFiles(t *testing.T) {
	t.Parallel()
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	base := hashFiles(fstest.MapFS{"m/a": file("1"), "m/b": file("2"), "n/c": file("3")}, "m")
	for name, tc := range map[string]struct {
		fsys fstest.MapFS
		same bool
	}{
		"other folder":    {fstest.MapFS{"m/a": file("1"), "m/b": file("2"), "n/c": file("4")}, true},
		"content":         {fstest.MapFS{"m/a": file("1"), "m/b": file("3")}, false},
		"name":            {fstest.MapFS{"m/a": file("1"), "m/c": file("2")}, false},
		"moved boundary":  {fstest.MapFS{"m/a": file("12"), "m/b": file("")}, false},
		"additional file": {fstest.MapFS{"m/a": file("1"), "m/b": file("2"), "m/c": file("")}, false},
	} {
		if got := hashFiles(tc.fsys, "m") == base; got != tc.same {
			t.Errorf("%s: same hash: %v, want %v", name, got, tc.same)
		}
	}
}

// The parts fit each other and the libraries that the sandbox is linked with.
func TestModuleVersions(t *testing.T) {
	t.Parallel()
	if got, want := moduleVersion("kind", "sigs.k8s.io/kind"), "v"+strings.TrimPrefix(kindversion.Version(), "v"); got != want {
		t.Errorf("base files are of kind %s, but %s is linked in: update modules/kind", got, want)
	}
	staging := "v0." + strings.TrimPrefix(kubernetesVersion(), "v1.")
	mod, err := modules.ReadFile("modules/hyperkube/go.mod.txt")
	if err != nil {
		t.Fatal(err)
	}
	replaced := 0
	for lines := bufio.NewScanner(bytes.NewReader(mod)); lines.Scan(); {
		if _, to, ok := strings.Cut(lines.Text(), "=>"); ok {
			replaced++
			if f := strings.Fields(to); f[1] != staging {
				t.Errorf("modules/hyperkube: %s, want version %s", strings.TrimSpace(lines.Text()), staging)
			}
		}
	}
	if replaced == 0 {
		t.Error("modules/hyperkube replaces none of Kubernetes' staging modules")
	}
}

// A module without sums would be built from whatever the proxy says today.
func TestModulesArePinned(t *testing.T) {
	t.Parallel()
	names := []string{"kind"}
	for _, g := range goParts {
		names = append(names, g.name)
	}
	for _, n := range names {
		for _, f := range []string{"go.mod.txt", "go.sum.txt"} {
			if text, err := modules.ReadFile(path.Join("modules", n, f)); err != nil || len(text) == 0 {
				t.Errorf("modules/%s/%s: %d bytes, %v", n, f, len(text), err)
			}
		}
		mod, err := modules.ReadFile(path.Join("modules", n, "go.mod.txt"))
		if err != nil {
			continue
		}
		if want := "module nodeimage/" + n + "\n"; !strings.HasPrefix(string(mod), want) {
			t.Errorf("modules/%s: begins with %q, want %q (the program is named after it)", n, strings.SplitN(string(mod), "\n", 2)[0], want)
		}
	}
}

func TestKubernetesVersionFlags(t *testing.T) {
	t.Parallel()
	flags := kubernetesVersionFlags()
	for _, want := range []string{"k8s.io/component-base/version.gitVersion=" + kubernetesVersion() + " ", "k8s.io/client-go/pkg/version.gitMajor=1 "} {
		if !strings.Contains(flags, "-X "+want) {
			t.Errorf("no -X %sin %s", want, flags)
		}
	}
}
