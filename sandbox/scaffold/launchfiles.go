package scaffold

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/dynsandbox/dynsandbox/fixtures"
)

// Names of the launch files that are edited.
const (
	microservicesFile = "microservices.json"
	requestTypesFile  = "requestType.json"
	optionalFile      = "optional_microservices.json"
	archetypesFile    = "archetype.json"
	agreementsFile    = "agreements.json"
)

// launchFiles are those of a workspace, checked, and open for edits.
type launchFiles struct {
	set *fixtures.Set

	services, requestTypes, offered *jsonText
	archetypes, agreements          *jsonText

	before map[*jsonText][]byte
}

func (w Workspace) readLaunchFiles() (*launchFiles, error) {
	fsys := os.DirFS(filepath.Join(w.Dir, filepath.FromSlash(w.LaunchFiles)))
	set, err := w.parse(fsys, "")
	if err != nil {
		return nil, err
	}
	l := &launchFiles{set: set, before: map[*jsonText][]byte{}}
	for name, into := range map[string]**jsonText{
		microservicesFile: &l.services, requestTypesFile: &l.requestTypes, optionalFile: &l.offered,
		archetypesFile: &l.archetypes, agreementsFile: &l.agreements,
	} {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		if *into, err = readJSON(path.Join(w.LaunchFiles, name), data); err != nil {
			return nil, err
		}
		l.before[*into] = data
	}
	return l, nil
}

// changes are the edits so far.
func (l *launchFiles) changes() Changes {
	var c Changes
	for f, before := range l.before {
		if string(before) != string(f.data) {
			c = append(c, Change{Path: f.name, Before: before, After: f.data})
		}
	}
	return c
}

// member returns an object's member. One that is absent, or null, is made first.
func (l *launchFiles) member(f *jsonText, of *value, key, empty string) (*value, error) {
	start := of.start // stays, whatever is put behind it
	switch v := of.get(key); {
	case v == nil:
		if err := f.insert(of, len(of.members), quote(key)+": "+empty); err != nil {
			return nil, err
		}
	case v.kind == 'n':
		if err := f.replace(v.span, empty); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(f.root.items, func(v *value) bool { return v.start == start })
	return f.root.items[i].get(key), nil
}

// check parses what the files would be.
func (l *launchFiles) check(w Workspace, added string) (*fixtures.Set, error) {
	edited := overlay{FS: os.DirFS(filepath.Join(w.Dir, filepath.FromSlash(w.LaunchFiles))), files: map[string][]byte{}}
	for _, c := range l.changes() {
		edited.files[path.Base(c.Path)] = c.After
	}
	return w.parse(edited, added)
}

// parse checks launch files against the workspace, to which a service may be added.
func (w Workspace) parse(fsys fs.FS, added string) (*fixtures.Set, error) {
	services, err := w.services()
	if err != nil {
		return nil, err
	}
	if added != "" {
		services = append(services, added)
	}
	return fixtures.Options{Dir: w.LaunchFiles, Agents: w.Agents, Services: services}.Parse(fsys)
}

// overlay is a folder some of whose files have other contents.
type overlay struct {
	fs.FS
	files map[string][]byte
}

// ReadFile implements [fs.ReadFileFS].
func (o overlay) ReadFile(name string) ([]byte, error) {
	if b, ok := o.files[name]; ok {
		return b, nil
	}
	return fs.ReadFile(o.FS, name)
}
