package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"unicode"
)

// Where Go modules and services that came with a bundle are, in a Cache folder.
const (
	goModulesDir = "go/modules" // laid out as a module proxy serves them
	goBundledDir = "go/bundled" // binaries, in a folder named by the hash of their sources
)

// environ is the environment of the go command. Offline, modules come from its own cache, else from bundles, else not.
func (b *GoBuilder) environ() []string {
	env := append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+runtime.GOARCH, "GOTOOLCHAIN=local")
	if b.Offline {
		modules, err := filepath.Abs(filepath.Join(b.Cache, goModulesDir))
		if err != nil {
			modules = "/" // has none
		}
		env = append(env, "GOPROXY=file://"+filepath.ToSlash(modules)+",off", "GONOPROXY=none", "GOSUMDB=off", "GOVCS=*:off")
	}
	return env
}

// bundled returns the folder with services' binaries that were built elsewhere of just these sources; "" when not all are
// there. The binaries are used offline only: where modules can be had, they are what this machine's compiler makes.
func (b *GoBuilder) bundled(services []Service) (string, error) {
	if !b.Offline || !exists(filepath.Join(b.Cache, goBundledDir)) {
		return "", nil
	}
	hash, err := b.sourcesHash()
	if err != nil || hash == "" {
		return "", err
	}
	dir := filepath.Join(b.Cache, goBundledDir, hash)
	for _, s := range services {
		if !exists(filepath.Join(dir, filepath.Base(s.Dir))) {
			return "", nil
		}
	}
	return dir, nil
}

// outside matches a module that is replaced by a folder beside the workspace's module.
var outside = regexp.MustCompile(`=>\s*"?(?:\.\./|/)`)

// sourcesHash tells what binaries are made of apart, on whichever machine: the sources of the workspace's module, and
// whether they are for a debugger. It is "" where the sources are not all in its folder.
func (b *GoBuilder) sourcesHash() (string, error) {
	root := filepath.Join(b.Workspace, "go")
	h := sha256.New()
	fmt.Fprintf(h, "%d %s debug=%t\n", builderRevision, runtime.GOARCH, b.Debug)
	if mod, err := os.ReadFile(filepath.Join(root, "go.mod")); err != nil || outside.Match(mod) {
		return "", err
	}
	err := walkTree(root, skipInModule, func(rel string, info fs.FileInfo) error {
		if info.IsDir() {
			return nil
		}
		sum, err := fileHash(filepath.Join(root, rel))
		fmt.Fprintf(h, "%q %s\n", filepath.ToSlash(rel), sum)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("look through the module's sources: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil))[:32], nil
}

// lacks tells of a compiler and modules; binaries of a bundle need neither.
func (b *GoBuilder) lacks(ctx context.Context, services []Service) ([]Lack, error) {
	if dir, err := b.bundled(services); err != nil || dir != "" || len(services) == 0 {
		return nil, err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return []Lack{{Kind: LackGo, Name: "go", Why: "its sources are not those of a bundle that was loaded, so that they have to be compiled"}}, nil
	}
	argv := []string{"list", "-deps", "-f", ""}
	for _, s := range services {
		argv = append(argv, "./"+strings.TrimPrefix(s.Dir, "go/"))
	}
	cmd := exec.CommandContext(ctx, "go", argv...)
	cmd.Dir, cmd.Env = filepath.Join(b.Workspace, "go"), b.environ()
	out, err := cmd.CombinedOutput()
	if err == nil || ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var lacks []Lack
	for line := range bytes.Lines(out) {
		var path, version string
		if n, _ := fmt.Sscanf(string(line), "go: downloading %s %s", &path, &version); n < 2 {
			continue // what else is wrong is for the compiler to complain of
		}
		if !exists(filepath.Join(b.Cache, goModulesDir, moduleFile(path, version, "zip"))) {
			lacks = append(lacks, Lack{Kind: LackGo, Name: path + "@" + version, Why: "a Go module that the services import"})
		}
	}
	slices.SortFunc(lacks, func(a, b Lack) int { return strings.Compare(a.Name, b.Name) })
	return lacks, nil
}

// moduleFile is where a module proxy has a file of a module: upper case, which not every file system keeps, is marked.
func moduleFile(path, version, kind string) string {
	mark := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			if unicode.IsUpper(r) {
				b.WriteByte('!')
			}
			b.WriteRune(unicode.ToLower(r))
		}
		return b.String()
	}
	return mark(path) + "/@v/" + mark(version) + "." + kind
}
