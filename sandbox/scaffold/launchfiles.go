package scaffold

import (
	"cmp"
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

// add registers a service at its place.
func (l *launchFiles) add(m Microservice, p place) error {
	if err := l.addService(m, p); err != nil {
		return err
	}
	kind, _ := l.requestTypes.root.named("name", p.requestType)
	if m.Option == "" {
		required, err := l.member(l.requestTypes, kind, "requiredServices", "[]")
		if err != nil {
			return err
		}
		return l.requestTypes.insert(required, p.required(required), quote(m.Name))
	}
	optional, err := l.member(l.requestTypes, kind, "optionalServices", "{}")
	if err != nil {
		return err
	}
	if err := l.requestTypes.insert(optional, len(optional.members), quote(m.Name)+": "+quote(m.Option)); err != nil {
		return err
	}
	return l.offer(m.Name, p.requestType)
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

// addService adds the service's own element, and its name to the outputs of those before it.
func (l *launchFiles) addService(m Microservice, p place) error {
	f := l.services
	at := 0
	for _, name := range p.after {
		_, i := f.root.named("name", name)
		outputs, err := l.member(f, f.root.items[i], "allowedOutputs", "[]")
		if err != nil {
			return err
		}
		if err := f.insert(outputs, len(outputs.items), quote(m.Name)); err != nil {
			return err
		}
		at = max(at, i+1)
	}
	if len(p.after) == 0 {
		at = len(f.root.items)
	}
	return f.insert(f.root, at, l.element(m, p))
}

// element is the service's element of microservices.json, written like the one that says most.
func (l *launchFiles) element(m Microservice, p place) string {
	var model *value
	if items := l.services.root.items; len(items) > 0 {
		model = slices.MaxFunc(items, func(a, b *value) int {
			outputs := func(v *value) int { return len(v.get("allowedOutputs").entriesOrNone()) }
			return cmp.Or(cmp.Compare(outputs(a), outputs(b)), cmp.Compare(len(a.members), len(b.members)))
		})
	}
	return l.services.like(model, []field{
		{"name", m.Name}, {"label", p.label}, {"allowedOutputs", p.before}, {"invalidArchetypes", nil},
	})
}

func (v *value) entriesOrNone() []span {
	if v == nil {
		return nil
	}
	return v.entries()
}

// offer lists an optional service at every steward that offers some for its request type.
func (l *launchFiles) offer(name, requestType string) error {
	f := l.offered
	for i := range f.root.items {
		services := f.root.items[i].get("types").get(requestType)
		if services != nil && services.kind == '[' {
			if err := f.insert(services, len(services.items), quote(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove takes a service out of all the files.
func (l *launchFiles) remove(name string) error {
	if _, i := l.services.root.named("name", name); i >= 0 {
		if err := l.services.remove(l.services.root, i); err != nil {
			return err
		}
	}
	for _, f := range []*jsonText{l.services, l.requestTypes, l.offered} {
		for v := f.find(f.root, ofServices, name); v != nil; v = f.find(f.root, ofServices, name) {
			if err := f.remove(v, v.index(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Members that name services, and those that name archetypes.
var (
	ofServices   = []string{"allowedOutputs", "requiredServices", "optionalServices"}
	ofArchetypes = []string{"archetypes", "allowedArchetypes", "invalidArchetypes"}
)

// find returns a list below v, in one of the members, that has a name, or an object that has it as a key.
func (f *jsonText) find(v *value, members []string, name string) *value {
	for _, item := range v.items {
		if found := f.find(item, members, name); found != nil {
			return found
		}
	}
	for _, m := range v.members {
		if found := f.find(m.value, members, name); found != nil {
			return found
		}
		if slices.Contains(members, m.key.text) && m.value.index(name) >= 0 {
			return m.value
		}
		if m.key.text == "types" && slices.Equal(members, ofServices) {
			for _, t := range m.value.members {
				if t.value.index(name) >= 0 {
					return t.value
				}
			}
		}
	}
	return nil
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
