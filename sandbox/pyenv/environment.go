package pyenv

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// Folder is the name of an environment's folder, beside what it is for.
const Folder = ".venv"

// Environment is a virtual environment: with the workspace's Python library, what that needs, and what one service, or all of
// them, need.
type Environment struct {
	Workspace    string   `json:"workspace"`
	Dir          string   `json:"dir"`                   // absolute
	Service      string   `json:"service,omitempty"`     // "": all of them
	Library      string   `json:"library,omitempty"`     // its folder, relative to the workspace
	Requirements []string `json:"requirements"`          // files, relative to the workspace
	Packages     []string `json:"packages,omitempty"`    // beside those
	Generated    string   `json:"generated,omitempty"`   // folder of generated modules, relative to the workspace
	Protos       string   `json:"protoFiles,omitempty"`  // what they are generated from, where there are none
	Python       string   `json:"python"`                // version of the interpreter
	ImagePython  string   `json:"imagePython,omitempty"` // that of the services' images, where that is another minor one
	State        State    `json:"state"`

	interpreter string
	hash        string // of all that it is made of
}

// State tells an environment's state, or what was done to it.
type State string

// States of an environment.
const (
	Missing State = "missing"
	Stale   State = "stale"   // made of something else
	Current State = "current" // nothing is to be done
	Made    State = "made"
)

// Activate is the command, for a shell, that makes the environment the one in use.
func (e *Environment) Activate() string { return "source " + filepath.Join(e.Dir, "bin", "activate") }

// ServiceError is a name that no Python service of the workspace has.
type ServiceError struct{ Name, Suggestion string }

// Error names the nearest one there is.
func (e *ServiceError) Error() string {
	text := fmt.Sprintf("no Python service %q in python/", e.Name)
	if e.Suggestion != "" {
		text += " (" + e.Suggestion + ")"
	}
	return text
}

// Plan tells what an environment for a service is made of, or with no name one for all of them, and in which state it is.
// Nothing is changed.
func Plan(ctx context.Context, workspace, service, interpreter string) (*Environment, error) {
	e := &Environment{Workspace: workspace, Service: service, Dir: filepath.Join(workspace, "python", service, Folder)}
	services, err := pythonServices(workspace)
	if err != nil {
		return nil, err
	}
	of := services
	if service != "" {
		if !slices.Contains(services, service) {
			return nil, &ServiceError{service, nearest.Hint(service, services)}
		}
		of = []string{service}
	}
	for _, name := range of {
		e.require(path.Join("python", name, "requirements.txt"))
	}
	if tests := "python/requirements-dev.txt"; exists(e.in(tests)) {
		e.require(tests)
	} else {
		e.Packages = []string{"pytest"}
	}
	if err := e.findLibrary(); err != nil {
		return nil, err
	}
	if err := e.findPython(ctx, interpreter); err != nil {
		return nil, err
	}
	if e.hash, err = e.content(); err != nil {
		return nil, err
	}
	e.State = Missing
	switch made, err := readRecord(e.Dir); {
	case err == nil && made.Hash == e.hash && exists(e.bin("python")):
		e.State = Current
	case err == nil || exists(e.Dir):
		e.State = Stale
	}
	return e, nil
}

func pythonServices(workspace string) ([]string, error) {
	mains, err := fs.Glob(os.DirFS(workspace), "python/*/main.py")
	var names []string
	for _, m := range mains {
		names = append(names, path.Base(path.Dir(m)))
	}
	return names, err
}

func (e *Environment) require(file string) {
	if exists(e.in(file)) {
		e.Requirements = append(e.Requirements, file)
	}
}

func (e *Environment) in(file string) string {
	return filepath.Join(e.Workspace, filepath.FromSlash(file))
}

func (e *Environment) bin(name string) string { return filepath.Join(e.Dir, "bin", name) }

func (e *Environment) findLibrary() error {
	dir, err := images.PythonLibrary(e.Workspace)
	if err != nil || dir == "" {
		return err
	}
	rel, err := filepath.Rel(e.Workspace, dir)
	if err != nil {
		return err
	}
	e.Library = filepath.ToSlash(rel)
	if modules, _ := fs.Glob(os.DirFS(dir), "protofiles/*_pb2.py"); len(modules) > 0 {
		e.Generated = e.Library + "/protofiles"
	} else if exists(e.in("proto-files")) {
		e.Protos = "proto-files"
	}
	return nil
}

// from finds the images that a Dockerfile begins with.
var from = regexp.MustCompile(`(?mi)^FROM\s+(?:--\S+\s+)*(\S+)`)

// findPython asks the interpreter for its version, and the services' Dockerfile for theirs.
func (e *Environment) findPython(ctx context.Context, interpreter string) error {
	e.interpreter = interpreter
	argv := []string{interpreter, "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"}
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).Output()
	if err != nil {
		return &fault.Exec{Argv: argv, Tail: fault.Tail(stderrOf(err), 5), Err: err}
	}
	e.Python = strings.TrimSpace(string(out))
	dockerfile, err := os.ReadFile(e.in("python/Dockerfile"))
	if errors.Is(err, fs.ErrNotExist) && e.Service != "" {
		dockerfile, err = os.ReadFile(e.in(path.Join("python", e.Service, "Dockerfile")))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, m := range from.FindAllSubmatch(dockerfile, -1) {
		if version := images.PythonVersion(string(m[1])); version != "" {
			if !strings.HasPrefix(e.Python, version+".") {
				e.ImagePython = version
			}
			break
		}
	}
	return nil
}

func stderrOf(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}

// content is a hash of all that decides what is in the environment. The library's own modules don't: they are used from where
// they lie.
func (e *Environment) content() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, "1", e.Dir, e.Python, e.Library, e.Generated, e.Packages)
	files := map[string]bool{} // with those that they include
	for _, name := range e.Requirements {
		if _, err := readRequirements(e.Workspace, name, files); err != nil {
			return "", err
		}
	}
	if e.Library != "" {
		read, err := packageFiles(e.Workspace, e.Library)
		if err != nil {
			return "", err
		}
		for _, name := range read {
			if path.Ext(name) != ".txt" {
				files[name] = true
			} else if _, err := readRequirements(e.Workspace, name, files); err != nil {
				return "", err
			}
		}
	}
	if e.Protos != "" {
		protos, err := fs.Glob(os.DirFS(e.in(e.Protos)), "*.proto")
		if err != nil {
			return "", err
		}
		for _, p := range protos {
			files[e.Protos+"/"+p] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content, err := os.ReadFile(e.in(name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n", name, len(content))
		h.Write(content)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// record lies in an environment that was made here.
type record struct {
	Hash string `json:"hash"` // "": it isn't whole
	Ours bool   `json:"ours"` // the folder was made here, and may be made anew
}

const recordFile = "dynsandbox.json"

// Ours reports whether a folder is an environment that was made here, rather than by a person.
func Ours(dir string) bool {
	r, err := readRecord(dir)
	return err == nil && r.Ours
}

func readRecord(dir string) (r record, err error) {
	content, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err == nil {
		err = json.Unmarshal(content, &r)
	}
	return r, err
}

func (e *Environment) writeRecord(r record) error {
	content, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.Dir, recordFile), append(content, '\n'), 0o644) //nolint:gosec // no secret
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
