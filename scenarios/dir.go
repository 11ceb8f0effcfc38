package scenarios

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// ParseDir reads all scenarios (*.yaml and *.yml) in a folder of fsys, in the order of their file names; a folder
// that isn't there has none. Files are named from the root of fsys: give it the workspace's, and problems name them as
// the user would. No two scenarios may have the same name. The error is [fault.Invalids]: all problems of all files.
func ParseDir(fsys fs.FS, dir string) ([]*Scenario, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read scenarios: %w", err)
	}
	var all []*Scenario
	var bad fault.Invalids
	byName := map[string]string{}
	for _, e := range entries {
		if e.IsDir() || !isScenario(e.Name()) {
			continue
		}
		file := path.Join(dir, e.Name())
		s, err := ParseFile(fsys, file)
		switch invalid := fault.AsInvalids(err); {
		case invalid != nil:
			bad = append(bad, invalid...)
		case err != nil:
			bad = append(bad, fault.Invalid{File: file, Problem: err.Error()})
		case byName[s.Name] != "":
			bad = append(bad, fault.Invalid{File: file, Problem: fmt.Sprintf("%s has a scenario %q already", byName[s.Name], s.Name)})
		default:
			byName[s.Name] = file
			all = append(all, s)
		}
	}
	if bad != nil {
		return nil, bad
	}
	return all, nil
}

// isScenario tells scenarios by their names. A leading dot is what editors give their own files.
func isScenario(name string) bool {
	if strings.HasPrefix(name, ".") {
		return false
	}
	ext := path.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}
