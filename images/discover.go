package images

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Languages of services, as their builders are chosen by.
const (
	Go         = "go"
	Python     = "python"
	Dockerfile = "dockerfile" // any that the engine builds from a Dockerfile in the service's folder
	Command    = "command"    // any that is built by the command in the service's own ServiceFile
)

// Service is one folder of a workspace that becomes one image.
type Service struct {
	Name     string     `json:"name"`
	Dir      string     `json:"dir"`      // relative to the workspace, with slashes: "go/cmd/agent"
	Language string     `json:"language"` // one of the constants
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

// Discover finds the services of a workspace that refs ask for: the folders go/cmd/NAME, python/NAME with a main.py, and
// any X/NAME with a Dockerfile or a [ServiceFile]. Of an image only the last part of its repository counts, so that a fork's account names don't matter.
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
	if err := checkServiceFiles(workspace, f.Services); err != nil {
		return Found{}, err
	}
	slices.SortFunc(f.Services, func(a, b Service) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(f.NotBuilt, func(a, b NotBuilt) int { return cmp.Compare(a.Dir, b.Dir) })
	slices.SortFunc(f.Missing, func(a, b Missing) int { return cmp.Or(cmp.Compare(a.WhoAsks, b.WhoAsks), cmp.Compare(a.Name, b.Name)) })
	f.Missing = slices.Compact(f.Missing)
	return f, nil
}

// checkServiceFiles reads the files of those services that have one, so that what is wrong in them is told before
// anything is built.
func checkServiceFiles(workspace string, services []Service) error {
	var bad fault.Invalids
	for _, s := range services {
		if s.Language != Command {
			continue
		}
		if _, err := readServiceFile(workspace, s); fault.AsInvalids(err) != nil {
			bad = append(bad, fault.AsInvalids(err)...)
		} else if err != nil {
			return err
		}
	}
	if bad != nil {
		return bad
	}
	return nil
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
