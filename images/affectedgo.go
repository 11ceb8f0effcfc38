package images

import (
	"cmp"
	"context"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// goSources are the packages of a workspace that its Go services are made of.
type goSources struct {
	services []Service
	packages []goPackage     // by folder
	idle     map[string]bool // folders with Go files that no service imports
}

// goPackage is one folder of them.
type goPackage struct {
	dir   string
	users map[string]string // the rule by which it goes into each service
	goEmbed
}

// readGoSources asks the go command for the imports of all services at once.
func readGoSources(ctx context.Context, workspace string, services []Service) (goSources, error) {
	s := goSources{services: services}
	if len(services) == 0 {
		return s, nil
	}
	listed, err := listGo(ctx, workspace, services)
	if err != nil {
		return s, err
	}
	// A service's own folder belongs to it even when nothing can be read there.
	packages := map[string]*goPackage{}
	for _, svc := range services {
		packages[svc.Dir] = &goPackage{dir: svc.Dir, users: map[string]string{svc.Name: "its main package"}}
	}
	byPath := map[string]listedPackage{}
	for _, l := range listed {
		byPath[l.ImportPath] = l
		if l.dir == "" {
			continue
		}
		if packages[l.dir] == nil {
			packages[l.dir] = &goPackage{dir: l.dir, users: map[string]string{}}
		}
		packages[l.dir].goEmbed = l.goEmbed
	}
	for _, l := range listed {
		if i := slices.IndexFunc(services, func(svc Service) bool { return svc.Dir == l.dir }); i >= 0 {
			for dir := range importedBy(l, byPath) {
				if dir != l.dir {
					packages[dir].users[services[i].Name] = "imports " + dir
				}
			}
		}
	}
	for _, p := range packages {
		s.packages = append(s.packages, *p)
	}
	slices.SortFunc(s.packages, func(a, b goPackage) int { return cmp.Compare(a.dir, b.dir) })
	if len(listed) > 0 {
		s.idle = idleGoFolders(workspace, packages)
	}
	return s, nil
}

// importedBy returns the workspace's folders that a package imports, directly or not.
func importedBy(from listedPackage, byPath map[string]listedPackage) map[string]bool {
	dirs, seen := map[string]bool{}, map[string]bool{}
	var visit func(l listedPackage)
	visit = func(l listedPackage) {
		if l.Standard || seen[l.ImportPath] {
			return
		}
		seen[l.ImportPath] = true
		if l.dir != "" {
			dirs[l.dir] = true
		}
		for _, i := range l.Imports {
			visit(byPath[i])
		}
	}
	visit(from)
	return dirs
}

// idleGoFolders lists the other folders of the module that hold packages: a change there concerns nobody until a
// service imports them, which takes a change elsewhere. What can't be read is left out, and so stays unknown.
func idleGoFolders(workspace string, packages map[string]*goPackage) map[string]bool {
	idle := map[string]bool{}
	root := filepath.Join(workspace, "go")
	// The function returns no error but SkipDir.
	_ = filepath.WalkDir(root, func(full string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case d.IsDir() && full != root && goIgnores(d.Name()):
			return fs.SkipDir
		case !d.IsDir() && path.Ext(d.Name()) == ".go" && isGoSource(d.Name()):
			rel, err := filepath.Rel(workspace, filepath.Dir(full))
			if dir := filepath.ToSlash(rel); err == nil && packages[dir] == nil {
				idle[dir] = true
			}
		}
		return nil
	})
	return idle
}

func (s goSources) rules(p string) map[string]string {
	rules := map[string]string{}
	dir, name := path.Split(p)
	dir = path.Clean(dir)
	for _, pkg := range s.packages {
		switch rel, inside := strings.CutPrefix(p, pkg.dir+"/"); {
		case within(pkg.dir, p), dir == pkg.dir && isGoSource(name):
			for service, rule := range pkg.users {
				rules[service] = cmp.Or(rules[service], rule)
			}
		case inside && pkg.embeds(rel):
			for service := range pkg.users {
				rules[service] = cmp.Or(rules[service], "embedded by "+pkg.dir)
			}
		// What a module requires decides about versions in all of the build.
		case isModuleFile(name) && (dir == "." || within(pkg.dir, dir)), name == "modules.txt" && dir == "go/vendor":
			return sameForAll(s.services, "Go module")
		}
	}
	unknown := path.Ext(name) == ".go" && isGoSource(name) && !s.idle[dir] && !slices.ContainsFunc(strings.Split(dir, "/"), goIgnores)
	if unknown && !slices.ContainsFunc(s.packages, func(pkg goPackage) bool { return pkg.dir == dir }) {
		maps.Copy(rules, sameForAll(s.services, "in a Go folder not known before"))
	}
	return rules
}

// isGoSource reports whether the go command compiles files of this name, or some of them, into a program. Which ones
// build constraints leave out is not looked at.
func isGoSource(name string) bool {
	if goIgnores(name) || strings.HasSuffix(name, "_test.go") {
		return false
	}
	switch path.Ext(name) {
	case ".go", ".s", ".S", ".sx", ".syso", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx",
		".f", ".F", ".for", ".f90", ".swig", ".swigcxx":
		return true
	}
	return name == "default.pgo" // a profile, which the compiler takes by itself
}

// goIgnores reports whether the go command passes over files and folders of this name.
func goIgnores(name string) bool {
	return name == "testdata" || name != "." && strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

func isModuleFile(name string) bool {
	switch name {
	case "go.mod", "go.sum", "go.work", "go.work.sum":
		return true
	}
	return false
}
