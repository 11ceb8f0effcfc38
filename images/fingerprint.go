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
	"time"
)

// builderRevision stands for the way in which services are built; raise it when the same sources make other images.
const builderRevision = 5

// sourceTrees are the folders of a workspace that builds read, and what they leave out of them.
var sourceTrees = []sourceTree{{"go", skipInModule}, {"proto-files", skipInContext}, {"python", skipInContext}}

type sourceTree struct {
	dir  string
	skip func(rel string) bool
}

// Sources are the state of everything that a workspace's images are made of.
type Sources struct {
	tools string            // what decides how they are built; "" when only files were looked at
	files map[string]string // by path in the workspace, with slashes
}

// ReadSourceFiles looks at the files of a workspace's sources, in milliseconds: it reads none.
func ReadSourceFiles(workspace string) (Sources, error) {
	trees, err := builtTrees(workspace, io.Discard)
	if err != nil {
		return Sources{}, err
	}
	s := Sources{files: map[string]string{}}
	for _, tree := range trees {
		if err := s.read(workspace, tree); err != nil {
			return Sources{}, err
		}
	}
	return s, nil
}

// ReadSources is [ReadSourceFiles] and [Sources.WithTools].
func ReadSources(workspace string, settings ...string) (Sources, error) {
	s, err := ReadSourceFiles(workspace)
	if err != nil {
		return s, err
	}
	return s.WithTools(workspace, settings...)
}

// WithTools adds to the files of a workspace's sources what else decides how the images are made. It asks no engine, and runs
// only `go env`. settings are those of the builders.
func (s Sources) WithTools(workspace string, settings ...string) (Sources, error) {
	var tools strings.Builder
	compiler := goSettings(filepath.Join(workspace, "go"))
	fmt.Fprintf(&tools, "%d %s %q %s\n", builderRevision, runtime.GOARCH, settings, compiler)
	if mod, _ := os.ReadFile(filepath.Join(workspace, "go", "go.mod")); outside.Match(mod) || inGoWorkspace(compiler) {
		fmt.Fprintln(&tools, time.Now().UnixNano()) // sources that aren't looked at: nothing is known to have stayed
	}
	for _, p := range debianPythons {
		fmt.Fprintf(&tools, "%s\n", pythonRecipe(fmt.Sprintf("3.%d", p.minor)).ref())
	}
	tools.WriteString(pipState())
	_, err := builtTrees(workspace, &tools)
	s.tools = tools.String()
	return s, err
}

// read takes in the state of the files in one folder, if it is there.
func (s Sources) read(workspace string, tree sourceTree) error {
	err := walkTree(filepath.Join(workspace, tree.dir), tree.skip, func(rel string, info fs.FileInfo) error {
		if !info.IsDir() {
			s.files[path.Join(tree.dir, filepath.ToSlash(rel))] = fmt.Sprintf("%d %d %v", info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a workspace need not have all of them
		return fmt.Errorf("look through the workspace's sources: %w", err)
	}
	return nil
}

// Fingerprint tells two states apart. While it stays, a build would make the images that it made before, unless somebody
// pulled a newer base image into the engine.
func (s Sources) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s", s.tools)
	for _, p := range slices.Sorted(maps.Keys(s.files)) {
		fmt.Fprintf(h, "%q %s\n", p, s.files[p])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Changed returns the files that differ from an earlier state, made and removed ones too. It reports false when other
// things than files differ as well: then every service may be built otherwise.
func (s Sources) Changed(since Sources) (files []string, onlyFiles bool) {
	return DifferingFiles(s.files, since.files), s.tools == since.tools
}

// With returns the state with that of some files as in another.
func (s Sources) With(files []string, other Sources) Sources {
	return Sources{tools: s.tools, files: FilesWith(s.files, files, other.files)}
}

// FilesWith is [Sources.With] for states by path.
func FilesWith(states map[string]string, files []string, other map[string]string) map[string]string {
	out := maps.Clone(states)
	if out == nil {
		out = map[string]string{}
	}
	for _, f := range files {
		if state, ok := other[f]; ok {
			out[f] = state
		} else {
			delete(out, f)
		}
	}
	return out
}

// DifferingFiles returns the files whose state is another than in since, or that are in one of the two only, sorted. Both
// are by path.
func DifferingFiles(now, since map[string]string) []string {
	var files []string
	for p, state := range now {
		if since[p] != state {
			files = append(files, p)
		}
	}
	for p := range since {
		if _, ok := now[p]; !ok {
			files = append(files, p)
		}
	}
	slices.Sort(files)
	return files
}

// Fingerprint is that of a workspace's sources as they are now.
func Fingerprint(workspace string, settings ...string) (string, error) {
	s, err := ReadSources(workspace, settings...)
	return s.Fingerprint(), err
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
		outer, dir := trees[i].skip, trees[i].dir
		trees[i].skip = func(rel string) bool {
			inner, inside := strings.CutPrefix(path.Join(dir, filepath.ToSlash(rel)), svc.Dir+"/")
			return outer(rel) || inside && skip(inner)
		}
	}
	for _, svc := range folders {
		top := topFolder(svc.Dir)
		if svc.Language != Command || slices.ContainsFunc(trees, func(t sourceTree) bool { return t.dir == top }) {
			continue
		}
		// Its command may read what lies beside it, but for other services, which are trees by themselves.
		trees = append(trees, sourceTree{top, func(rel string) bool {
			return skipInContext(rel) || folders[rel].Dir == top+"/"+rel
		}})
	}
	return trees, err
}

// GoKey is a [Cached]'s key for the Go services of a workspace: the state of its module and of the compiler's settings.
// It is "" for a module that is built of sources elsewhere on this machine too.
func GoKey(workspace string) func() (string, error) {
	return func() (string, error) {
		module := filepath.Join(workspace, "go")
		required, err := os.ReadFile(filepath.Join(module, "go.mod"))
		if err != nil || localReplace.Match(required) {
			return "", nil //nolint:nilerr // the compiler will complain
		}
		settings := goSettings(module)
		if settings == "" || inGoWorkspace(settings) {
			return "", nil
		}
		s := Sources{tools: settings, files: map[string]string{}}
		err = s.read(workspace, sourceTrees[0])
		return s.Fingerprint(), err
	}
}

// localReplace matches a line of a go.mod that takes a module from a folder.
var localReplace = regexp.MustCompile(`(?m)=>\s*[./]`)

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

// inGoWorkspace tells from the compiler's settings whether a go.work names more folders of sources.
func inGoWorkspace(settings string) bool {
	lines := strings.Split(strings.TrimSuffix(settings, "\n"), "\n")
	work := lines[len(lines)-1]
	return work != "" && work != "off"
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
