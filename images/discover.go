package images

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"
)

// Languages of services, as their builders are chosen by.
const (
	Go     = "go"
	Python = "python"
)

// Service is one folder of a workspace that becomes one image.
type Service struct {
	Name     string     `json:"name"`
	Dir      string     `json:"dir"`      // relative to the workspace, with slashes: "go/cmd/agent"
	Language string     `json:"language"` // Go or Python
	Refs     []name.Tag `json:"-"`        // the names by which charts and agents ask for its image
}

// Refs are all the ways in which a workspace asks for images.
type Refs struct {
	Images  []string // image references in rendered charts: "dynamos1/agent:main"
	Jobs    []string // names of services that launch files put into Jobs
	Account string   // of the charts' values: the repository's first part; "" where charts name none
	Tag     string   // of the charts' values
}

// Found is what a workspace has to be built from, and what of it doesn't fit together.
type Found struct {
	Services []Service  `json:"services"`           // by name
	NotBuilt []NotBuilt `json:"notBuilt,omitempty"` // folders that nobody refers to
	Missing  []Missing  `json:"missing,omitempty"`  // images that no folder makes
}

// NotBuilt is a folder that could be a service, but isn't one.
type NotBuilt struct {
	Name   string `json:"name"`
	Dir    string `json:"dir"`
	Reason string `json:"reason"`
}

// Missing is an image that is asked for and that no folder of the workspace makes.
type Missing struct {
	Name    string `json:"name"`    // an image reference, or a service's name
	WhoAsks string `json:"whoAsks"` // "charts" or "launch files"
}

// DYNAMOS agents have this account and tag compiled in for the containers of Jobs, whatever the charts' values say.
const (
	agentAccount = "dynamos1"
	agentTag     = "main"
)

// Discover finds the services of a workspace: the folders go/cmd/NAME, and python/NAME with a main.py, that refs
// ask for. Of an image only the last part of its repository counts, so that a fork's account names don't matter.
func Discover(workspace string, refs Refs) (Found, error) {
	folders, idle, err := serviceFolders(workspace)
	if err != nil {
		return Found{}, err
	}
	f := Found{NotBuilt: idle}
	wanted := map[string][]name.Tag{}
	for _, image := range refs.Images {
		tag, err := name.NewTag(image)
		if err != nil {
			if _, digestErr := name.NewDigest(image); digestErr == nil {
				f.Missing = append(f.Missing, Missing{image, "charts"}) // nothing built here can have a given digest
				continue
			}
			return Found{}, fmt.Errorf("image of a chart: %w", err)
		}
		base := filepath.Base(tag.RepositoryStr())
		if _, ok := folders[base]; !ok {
			f.Missing = append(f.Missing, Missing{image, "charts"})
			continue
		}
		wanted[base] = append(wanted[base], tag)
	}
	jobs := slices.Clone(refs.Jobs)
	if _, ok := folders["sidecar"]; ok && len(jobs) > 0 {
		jobs = append(jobs, "sidecar") // every Job has one, though no launch file says so
	}
	for _, job := range jobs {
		if _, ok := folders[job]; !ok {
			f.Missing = append(f.Missing, Missing{job, "launch files"})
			continue
		}
		tags, err := jobTags(job, refs)
		if err != nil {
			return Found{}, err
		}
		wanted[job] = append(wanted[job], tags...)
	}
	for base, s := range folders {
		if len(wanted[base]) == 0 {
			f.NotBuilt = append(f.NotBuilt, NotBuilt{base, s.Dir, "no chart and no launch file refers to it"})
			continue
		}
		s.Refs = wanted[base]
		slices.SortFunc(s.Refs, func(a, b name.Tag) int { return cmp.Compare(a.Name(), b.Name()) })
		s.Refs = slices.CompactFunc(s.Refs, func(a, b name.Tag) bool { return a.Name() == b.Name() })
		f.Services = append(f.Services, s)
	}
	slices.SortFunc(f.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(f.NotBuilt, func(a, b NotBuilt) int { return cmp.Compare(a.Dir, b.Dir) })
	slices.SortFunc(f.Missing, func(a, b Missing) int { return cmp.Or(cmp.Compare(a.WhoAsks, b.WhoAsks), cmp.Compare(a.Name, b.Name)) })
	f.Missing = slices.Compact(f.Missing)
	return f, nil
}

// jobTags are the names by which an agent may ask for the image of a service in a Job: those it has compiled in, and
// those of the charts' values, which it can be told.
func jobTags(service string, refs Refs) ([]name.Tag, error) {
	tags := make([]name.Tag, 0, 2)
	for _, ref := range []string{
		agentAccount + "/" + service + ":" + agentTag,
		cmp.Or(refs.Account, agentAccount) + "/" + service + ":" + cmp.Or(refs.Tag, agentTag),
	} {
		tag, err := name.NewTag(ref)
		if err != nil {
			return nil, fmt.Errorf("image of a Job: %w", err)
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

// ServiceFolders returns the names of the workspace's folders that have the shape of a service, whether anything refers to
// them or not.
func ServiceFolders(workspace string) ([]string, error) {
	folders, _, err := serviceFolders(workspace)
	return slices.Sorted(maps.Keys(folders)), err
}

// serviceFolders lists the folders that have the shape of a service, by name, and those that nearly have.
func serviceFolders(workspace string) (map[string]Service, []NotBuilt, error) {
	folders := map[string]Service{}
	goDirs, err := subfolders(filepath.Join(workspace, "go", "cmd"))
	if err != nil {
		return nil, nil, err
	}
	for _, n := range goDirs {
		if sources, _ := filepath.Glob(filepath.Join(workspace, "go", "cmd", n, "*.go")); len(sources) > 0 {
			folders[n] = Service{Name: n, Dir: "go/cmd/" + n, Language: Go}
		}
	}
	pythonDirs, err := subfolders(filepath.Join(workspace, "python"))
	if err != nil {
		return nil, nil, err
	}
	var idle []NotBuilt
	for _, n := range pythonDirs {
		dir := "python/" + n
		full := filepath.Join(workspace, "python", n)
		_, taken := folders[n]
		switch sources, _ := filepath.Glob(filepath.Join(full, "*.py")); {
		case isLibrary(full):
		case !exists(filepath.Join(full, "main.py")):
			if len(sources) > 0 {
				idle = append(idle, NotBuilt{n, dir, "it has no main.py"})
			}
		case taken:
			idle = append(idle, NotBuilt{n, dir, "go/cmd/" + n + " has the same name"})
		default:
			folders[n] = Service{Name: n, Dir: dir, Language: Python}
		}
	}
	return folders, idle, nil
}

// isLibrary reports whether a folder is a Python package to be installed rather than run.
func isLibrary(dir string) bool {
	return !exists(filepath.Join(dir, "main.py")) && (exists(filepath.Join(dir, "setup.py")) || exists(filepath.Join(dir, "pyproject.toml")))
}

// subfolders lists the names of a folder's folders, hidden ones aside. A folder that isn't there has none.
func subfolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for services: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name()[0] != '.' && e.Name() != "__pycache__" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
