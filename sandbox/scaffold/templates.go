package scaffold

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"github.com/dynsandbox/dynsandbox/images"
)

// templates are the files of new services: a folder for each way of writing one. "NAME" in a file's name becomes the
// service's, with underscores.
//
//go:embed templates
var templates embed.FS

// service is what templates are filled with.
type service struct {
	Name   string
	Ident  string // the name with underscores
	Module string // of Go
}

// serviceFiles makes the files of a new service's folder. They depend on nothing but name, language and workspace.
func (w Workspace) serviceFiles(name, language string) (Changes, error) {
	s := service{Name: name, Ident: strings.ReplaceAll(name, "-", "_")}
	kind := language
	if language == images.Go {
		var err error
		if kind, s.Module, err = w.goKind(); err != nil {
			return nil, err
		}
	}
	root := path.Join("templates", kind)
	var c Changes
	err := fs.WalkDir(templates, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		t, err := template.ParseFS(templates, p)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, s); err != nil {
			return err
		}
		rel := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(p, root+"/"), ".tmpl"), "NAME", s.Ident)
		c = append(c, Change{Path: path.Join(parent(language, 2), name, rel), After: b.Bytes()})
		return nil
	})
	return c, err
}

// requirementsOf are the files of requirements that a new Python service may begin with, the one that it does first: those of
// the workspace's other services, whose packages its image then shares.
func (w Workspace) requirementsOf(name string, known []string) (Changes, error) {
	var c Changes
	for _, other := range known {
		if other == name {
			continue
		}
		content, err := os.ReadFile(filepath.Join(w.Dir, parent(images.Python, 1), other, requirementsFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c = append(c, Change{Path: path.Join(parent(images.Python, 1), name, requirementsFile), After: content})
	}
	return c, nil
}

const requirementsFile = "requirements.txt"

var goModule = regexp.MustCompile(`(?m)^module[ \t]+"?([^\s"]+)`)

// goKind tells which library the workspace has for Go services, and its module's path.
func (w Workspace) goKind() (kind, module string, err error) {
	mod, err := os.ReadFile(filepath.Join(w.Dir, "go", "go.mod"))
	if err != nil {
		return "", "", fmt.Errorf("read the workspace's Go module: %w", err)
	}
	m := goModule.FindSubmatch(mod)
	if m == nil {
		return "", "", errors.New("go/go.mod names no module")
	}
	for _, library := range []string{"chain", "msinit"} {
		if info, err := os.Stat(filepath.Join(w.Dir, "go", "pkg", library)); err == nil && info.IsDir() {
			return "go-" + library, string(m[1]), nil
		}
	}
	return "", "", wrong("--lang "+images.Python, "go/pkg has no library for services in a chain (chain, msinit)")
}
