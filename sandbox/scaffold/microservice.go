package scaffold

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// Workspace is what has to be known of the one that is changed.
type Workspace struct {
	Dir         string
	LaunchFiles string   // the folder with them, relative to Dir
	Scenarios   string   // the folder with them, relative to Dir
	Agents      []string // the names of those that the charts deploy; nil when that isn't known

	// Render tells what the charts of a folder that is laid out like the workspace amount to; nil: they aren't looked at.
	Render func(dir string) (Deployment, error)
}

// Microservice is what is asked for. Only the name is indispensable.
type Microservice struct {
	Name        string
	Language    string   // images.Python (the default) or images.Go
	Label       string   // dataProvider or computeProvider; by default that of the service beside it
	After       []string // services that it follows
	Before      []string // services that follow it
	RequestType string   // by default the first with one of those services
	Option      string   // of a request, which adds it; without one, the request type requires it
}

// Languages that a service can be written in.
var Languages = []string{images.Python, images.Go}

// ChoiceError is a name or an option that doesn't go with the workspace.
type ChoiceError struct{ Problem, Suggestion string }

// Error is the problem, and in parentheses what would do.
func (e *ChoiceError) Error() string {
	if e.Suggestion == "" {
		return e.Problem
	}
	return e.Problem + " (" + e.Suggestion + ")"
}

func wrong(suggestion, format string, args ...any) error {
	return &ChoiceError{fmt.Sprintf(format, args...), suggestion}
}

// Added is what adding a service or an agent takes.
type Added struct {
	Changes
	Notes    []string // what was left as it is, and why
	Scenario string   // the name of the one that runs it
}

// AddMicroservice works out what a new service changes in a workspace. Errors in files of the workspace are
// [fault.Invalids], those of what was asked for a [ChoiceError].
func AddMicroservice(w Workspace, m Microservice) (*Added, error) {
	if m.Language == "" {
		m.Language = images.Python
	}
	if !slices.Contains(Languages, m.Language) {
		return nil, wrong(nearest.Hint(m.Language, Languages), "--lang: %q is none of %s", m.Language, strings.Join(Languages, ", "))
	}
	if err := checkName(m.Name); err != nil {
		return nil, err
	}
	launch, err := w.readLaunchFiles()
	if err != nil {
		return nil, err
	}
	if err := w.checkFree(m.Name, launch); err != nil {
		return nil, err
	}
	p, err := findPlace(launch.set, m)
	if err != nil {
		return nil, err
	}
	if err := launch.add(m, p); err != nil {
		return nil, err
	}
	set, err := launch.check(w, m.Name)
	if err != nil {
		return nil, fmt.Errorf("with %s in its place the launch files would have errors: %w", m.Name, err)
	}
	scenario, err := w.scenario(set, m.Name, p.requestType, m.Option)
	if err != nil {
		return nil, err
	}
	folder, err := w.serviceFiles(m.Name, m.Language)
	if err != nil {
		return nil, err
	}
	known := names(launch.set)
	if m.Language == images.Python {
		others, err := w.requirementsOf(m.Name, known)
		if err != nil {
			return nil, err
		}
		for i, c := range folder {
			if len(others) > 0 && c.Path == others[0].Path {
				folder[i] = others[0]
			}
		}
	}
	a := &Added{Changes: slices.Concat(folder, scenario, launch.changes()), Scenario: m.Name}
	made, notes, err := w.editListings(m.Language, m.Name, known)
	a.Changes, a.Notes = append(a.Changes, made...).sorted(), notes
	return a, err
}

// names are those of the services that the launch files have.
func names(set *fixtures.Set) []string {
	known := make([]string, 0, len(set.Microservices))
	for _, s := range set.Microservices {
		known = append(known, s.Name)
	}
	return known
}

// dnsLabel is what Kubernetes takes as the name of a container (RFC 1123).
var dnsLabel = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

func checkName(name string) error {
	if dnsLabel.MatchString(name) {
		return nil
	}
	hint := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if hint = strings.Trim(hint[:min(len(hint), 63)], "-"); hint != "" {
		hint = fmt.Sprintf("for example %q", hint)
	}
	return wrong(hint, "%q is no name for a service, which must be lower-case letters, digits and inner hyphens, at most 63", name)
}

// checkFree refuses a name that something in the workspace has.
func (w Workspace) checkFree(name string, launch *launchFiles) error {
	if at, _ := launch.services.root.named("name", name); at != nil {
		return launch.services.invalid(at.get("name"), "", "there is a service %q already", name)
	}
	for _, f := range []*jsonText{launch.services, launch.requestTypes, launch.offered} {
		if v := f.find(f.root, ofServices, name); v != nil {
			return f.invalid(v.mention(name), "choose another name, or define it there", "%q is named here already", name)
		}
	}
	services, err := w.services()
	if err != nil {
		return err
	}
	taken := []string{path.Join(parent(images.Go, 2), name), path.Join(parent(images.Python, 1), name)}
	for _, dir := range taken {
		if _, err := os.Lstat(filepath.Join(w.Dir, dir)); err == nil {
			return wrong("", "%s is there already", dir)
		}
	}
	if slices.Contains(services, name) {
		return wrong("", "the workspace has a service %q already", name)
	}
	return w.checkScenarioFree(name)
}

// mention is the item or the key of a value that is the name.
func (v *value) mention(name string) *value {
	i := v.index(name)
	if v.kind == '[' {
		return v.items[i]
	}
	return v.members[i].key
}

// services are the names of folders that have the shape of a service.
func (w Workspace) services() ([]string, error) { return images.ServiceFolders(w.Dir) }

// parent is where services of a language are, or as many of its parts as asked for: "go" of "go/cmd".
func parent(language string, parts int) string {
	if language == images.Go && parts > 1 {
		return "go/cmd"
	}
	return language
}
