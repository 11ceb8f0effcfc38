package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A tree is a workspace's files, by their names with slashes.
type tree map[string]entry

type entry struct {
	content []byte
	link    string // what a symbolic link names
	mode    fs.FileMode
}

func readTree(t *testing.T, dir string) tree {
	t.Helper()
	out := tree{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains([]string{"__pycache__", "web", "docs"}, d.Name())):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		e, err := readEntry(file)
		out[filepath.ToSlash(name)] = e
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func readEntry(file string) (e entry, err error) {
	info, err := os.Lstat(file)
	if err != nil {
		return e, err
	}
	e.mode = info.Mode().Perm()
	if info.Mode().Type() == fs.ModeSymlink {
		e.link, err = os.Readlink(file)
	} else {
		e.content, err = os.ReadFile(file)
	}
	return e, err
}

// below returns what is in a folder, or a file alone.
func (t tree) below(folder string) tree {
	out := tree{}
	for name, e := range t {
		if name == folder || strings.HasPrefix(name, folder+"/") {
			out[name] = e
		}
	}
	return out
}

// only returns those of the files.
func (t tree) only(files func(name string) bool) tree {
	out := maps.Clone(t)
	maps.DeleteFunc(out, func(name string, _ entry) bool { return !files(name) })
	return out
}

// without returns the tree without a folder.
func (t tree) without(folder string) tree {
	gone := t.below(folder)
	return t.only(func(name string) bool {
		_, is := gone[name]
		return !is
	})
}

func (t tree) with(other tree) tree {
	out := maps.Clone(t)
	maps.Copy(out, other)
	return out
}

// withProgram returns the tree with a service that is one program, and has no /healthz.
func (t tree) withProgram(name string, program []byte) tree {
	dir := "go/cmd/" + name
	out := t.without(dir).with(tree{
		dir + "/" + name:    {content: program, mode: 0o755},
		dir + "/Dockerfile": {content: fmt.Appendf(nil, "FROM scratch\nCOPY %s /app/\nCMD [\"/app/%[1]s\"]\n", name), mode: 0o644},
	})
	for _, probe := range probes[name] {
		file := "charts/" + probe.chart + "/values.yaml"
		e := out[file]
		e.content = bytes.Replace(e.content, []byte(probe.key+": true"), []byte(probe.key+": false"), 1)
		out[file] = e
	}
	return out
}

// probes are where the charts say that a service has /healthz.
var probes = map[string][]struct{ chart, key string }{
	"agent":           {{"agents", "readinessProbe"}, {"thirdparty", "readinessProbe"}},
	"api-gateway":     {{"api-gateway", "readinessProbe"}},
	"orchestrator":    {{"orchestrator", "  orchestrator"}},
	"policy-enforcer": {{"orchestrator", "  policyEnforcer"}},
}

// onlyOurs returns the modules of the Python library that the other has not.
func (t tree) onlyOurs(other tree, library string) tree {
	out := tree{}
	for name, e := range t.below(library + "/dynamos") {
		if _, theirs := other[name]; !theirs && path.Ext(name) == ".py" {
			out[name] = e
		}
	}
	return out
}

// bringUpTree makes the workspace the same as the tree, touching only what differs, and brings it up.
func bringUpTree(ctx context.Context, want tree) error {
	var folders []string
	err := filepath.WalkDir(workspace, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(workspace, file)
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			folders = append(folders, file)
			return nil
		}
		if _, wanted := want[filepath.ToSlash(name)]; !wanted {
			return os.Remove(file)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, folder := range slices.Backward(folders) {
		_ = os.Remove(folder) // unless it has files
	}
	for name, e := range want {
		file := filepath.Join(workspace, filepath.FromSlash(name))
		if has, err := readEntry(file); err == nil && has.link == e.link && has.mode == e.mode && bytes.Equal(has.content, e.content) {
			continue
		}
		if err := e.write(file); err != nil {
			return err
		}
	}
	var s upSummary
	return upInto(ctx, &s, "--no-scenario", "--no-watch")
}

func (e entry) write(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if e.link != "" {
		return os.Symlink(e.link, file)
	}
	return os.WriteFile(file, e.content, e.mode)
}
