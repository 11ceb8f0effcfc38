package images

import (
	"context"
	"path"
	"slices"
	"strings"
	"sync"
)

// Dependents knows which services each source file of a workspace goes into. It may be used by several goroutines.
type Dependents struct {
	workspace string
	services  []Service

	mu      sync.Mutex
	sources []origins // by language
}

// Reason is why a service must be built again.
type Reason struct {
	File string `json:"file"` // the changed file, as it was told
	Rule string `json:"rule"` // how it goes into the service, for people: "imports go/pkg/rpc"
}

// origins are what the services of one language are built from.
type origins interface {
	// rules returns, by service name, how a file goes into the service. The path may be that of a folder: of one that
	// is removed or renamed, often no more is told than its name.
	rules(path string) map[string]string
}

// NewDependents reads the workspace's sources. Sources that don't compile are no error.
func NewDependents(ctx context.Context, workspace string, services []Service) (*Dependents, error) {
	d := &Dependents{workspace: workspace, services: slices.Clone(services)}
	if err := d.Refresh(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Affected returns, by service name, why it must be built again now that files were changed, made or removed. Paths
// are relative to the workspace, with slashes. Of several reasons the one whose path sorts first is told.
//
// A file of which it is unknown where it goes concerns every service that it could go into.
func (d *Dependents) Affected(paths []string) map[string]Reason {
	d.mu.Lock()
	defer d.mu.Unlock()
	reasons := map[string]Reason{}
	for _, p := range slices.Sorted(slices.Values(paths)) {
		for _, s := range d.sources {
			for service, rule := range s.rules(path.Clean(p)) {
				if _, ok := reasons[service]; !ok {
					reasons[service] = Reason{File: p, Rule: rule}
				}
			}
		}
	}
	return reasons
}

// Refresh reads the sources again. Call it after every reload, and after a failed one as well: the changes that failed
// may have brought new imports, and what mends them may lie there. Before a reload it isn't needed: an import can only
// be changed in a file that concerns the same services. On error, what was known stays.
func (d *Dependents) Refresh(ctx context.Context) error {
	byLanguage := map[string][]Service{}
	for _, s := range d.services {
		byLanguage[s.Language] = append(byLanguage[s.Language], s)
	}
	goSources, err := readGoSources(ctx, d.workspace, byLanguage[Go])
	if err != nil {
		return err
	}
	pythonSources, err := readPythonSources(d.workspace, byLanguage[Python])
	if err != nil {
		return err
	}
	folderSources, err := readFolderSources(d.workspace, slices.Concat(byLanguage[Dockerfile], byLanguage[Command]))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sources = []origins{goSources, pythonSources, folderSources}
	return nil
}

// within reports whether a path is a folder or lies in it.
func within(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }

// sameForAll returns the same rule for all of the services.
func sameForAll(services []Service, rule string) map[string]string {
	rules := map[string]string{}
	for _, s := range services {
		rules[s.Name] = rule
	}
	return rules
}
