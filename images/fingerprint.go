package images

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// builderRevision stands for the way in which services are built; raise it when the same sources make other images.
const builderRevision = 2

// sourceTrees are the folders of a workspace that builds read, and what they leave out of them.
var sourceTrees = []sourceTree{{"go", skipInModule}, {"proto-files", skipInContext}, {"python", skipInContext}}

type sourceTree struct {
	dir  string
	skip func(rel string) bool
}

// Fingerprint tells two states of everything that a workspace's images are made of apart, in milliseconds: it reads no
// sources, asks no engine, and runs only `go env`. While it stays, a build would make the images that it made before,
// unless somebody pulled a newer base image into the engine. settings are those of the builders.
func Fingerprint(workspace string, settings ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %s %q %s\n", builderRevision, runtime.GOARCH, settings, goSettings(filepath.Join(workspace, "go")))
	for _, p := range debianPythons {
		fmt.Fprintf(h, "%s\n", pythonRecipe(fmt.Sprintf("3.%d", p.minor)).ref())
	}
	fmt.Fprintf(h, "%s", pipState())
	trees, err := builtTrees(workspace, h)
	if err != nil {
		return "", err
	}
	for _, tree := range trees {
		if err := hashTree(h, workspace, tree); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// builtTrees returns the source trees of a workspace's own layout, and the folders of services in other languages. h takes
// in how the services are built.
func builtTrees(workspace string, h io.Writer) ([]sourceTree, error) {
	trees := slices.Clone(sourceTrees)
	folders, _, err := serviceFolders(workspace)
	for _, name := range slices.Sorted(maps.Keys(folders)) {
		svc := folders[name]
		fmt.Fprintf(h, "%s %s\n", svc.Dir, svc.Language)
		if svc.Language == Go || svc.Language == Python {
			continue
		}
		skip, err := leftOut(workspace, svc)
		if err != nil { // what is wrong in it is for the build to tell
			skip = skipInContext
		}
		i := slices.IndexFunc(trees, func(t sourceTree) bool { return within(svc.Dir, t.dir) })
		if i < 0 {
			trees = append(trees, sourceTree{svc.Dir, skip})
			continue
		}
		outer := trees[i].skip
		trees[i].skip = func(rel string) bool {
			inner, inside := strings.CutPrefix(path.Join(sourceTrees[i].dir, filepath.ToSlash(rel)), svc.Dir+"/")
			return outer(rel) || inside && skip(inner)
		}
	}
	return trees, err
}

// GoKey is a [Cached]'s key for the Go services of a workspace: the state of its module and of the compiler's settings.
// It is "" for a module that is built of sources elsewhere on this machine too.
func GoKey(workspace string) func(Service) (string, error) {
	return func(Service) (string, error) {
		module := filepath.Join(workspace, "go")
		required, err := os.ReadFile(filepath.Join(module, "go.mod"))
		if err != nil || localReplace.Match(required) {
			return "", nil //nolint:nilerr // the compiler will complain
		}
		settings := goSettings(module)
		lines := strings.Split(strings.TrimSuffix(settings, "\n"), "\n")
		if work := lines[len(lines)-1]; settings == "" || work != "" && work != "off" {
			return "", nil
		}
		h := sha256.New()
		fmt.Fprintln(h, settings)
		err = hashTree(h, workspace, sourceTrees[0])
		return hex.EncodeToString(h.Sum(nil)), err
	}
}

// localReplace matches a line of a go.mod that takes a module from a folder.
var localReplace = regexp.MustCompile(`(?m)=>\s*[./]`)

// hashTree takes in the state of the files in one folder, if it is there.
func hashTree(h io.Writer, workspace string, tree sourceTree) error {
	err := walkTree(filepath.Join(workspace, tree.dir), tree.skip, func(rel string, info fs.FileInfo) error {
		if !info.IsDir() {
			fmt.Fprintf(h, "%q %d %d %v\n", filepath.Join(tree.dir, rel), info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a workspace need not have all of them
		return fmt.Errorf("look through the workspace's sources: %w", err)
	}
	return nil
}

// goVariables are the settings of the compiler that change what it makes. GOWORK is the last.
var goVariables = []string{"GOVERSION", "GOFLAGS", "GOEXPERIMENT", "GOAMD64", "GOARM64", "GOWORK"}

// goSettings are the compiler's version and those of its settings that change what it makes. Without a compiler there
// are none: that is for the build to complain of.
func goSettings(dir string) string {
	cmd := exec.Command("go", append([]string{"env"}, goVariables...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local")
	out, _ := cmd.Output()
	return string(out)
}

// pipState changes when pip's settings may have.
func pipState() string {
	var b strings.Builder
	for _, path := range append(pipConfigFiles(), hostCABundle()) {
		b.WriteString(fileState(path) + "\n")
	}
	return b.String() + pipConf(parsePipConfig("", os.Environ())) + "\n"
}

// pipConfigFiles are the places where pip looks for its settings, whether they are there or not. Asking pip itself
// takes half a second.
func pipConfigFiles() []string {
	paths := []string{"/etc/pip.conf", filepath.Join(cmp.Or(os.Getenv("XDG_CONFIG_DIRS"), "/etc/xdg"), "pip", "pip.conf"), os.Getenv("PIP_CONFIG_FILE")}
	if home, err := os.UserHomeDir(); err == nil {
		paths = append(paths, filepath.Join(home, ".pip", "pip.conf"))
	}
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, "pip", "pip.conf"))
	}
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		paths = append(paths, filepath.Join(env, "pip.conf"))
	}
	return paths
}

// fileState changes when a file does.
func fileState(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s %d %d", path, info.Size(), info.ModTime().UnixNano())
}
