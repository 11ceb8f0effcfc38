package images

import (
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// pythonSources are what [PythonBuilder] puts into a service's build: the service's folder, the workspace's library,
// the modules generated from proto-files, and a Dockerfile.
type pythonSources struct {
	workspace  string
	services   []Service
	libraries  []string // folders
	generates  bool     // the library has no generated modules: they are made from proto-files in its build
	dockerfile bool     // python/Dockerfile is there, and services' own ones are passed over
}

func readPythonSources(workspace string, services []Service) (pythonSources, error) {
	s := pythonSources{workspace: workspace, services: services, dockerfile: exists(filepath.Join(workspace, "python", "Dockerfile"))}
	names, err := subfolders(filepath.Join(workspace, "python"))
	if err != nil {
		return s, err
	}
	for _, n := range names {
		dir := filepath.Join(workspace, "python", n)
		if !isLibrary(dir) {
			continue
		}
		s.libraries = append(s.libraries, "python/"+n)
		modules, _ := filepath.Glob(filepath.Join(dir, "protofiles", "*_pb2.py"))
		s.generates = s.generates || len(modules) == 0
	}
	return s, nil
}

func (s pythonSources) rules(p string) map[string]string {
	if path.Ext(p) == ".md" || slices.ContainsFunc(strings.Split(p, "/"), pythonIgnores) {
		return nil
	}
	switch {
	case p == "python/Dockerfile":
		return sameForAll(s.services, "Dockerfile of all Python services")
	case s.generates && (p == "proto-files" || within(p, "proto-files") && path.Ext(p) == ".proto"):
		return sameForAll(s.services, "proto files")
	case slices.ContainsFunc(s.libraries, func(dir string) bool { return goesIn(p, dir, "tests", "build", "dist") }):
		return sameForAll(s.services, "Python library")
	}
	rules := map[string]string{}
	for _, svc := range s.services {
		if goesIn(p, svc.Dir, "tests") && !(s.dockerfile && p == svc.Dir+"/Dockerfile") {
			rules[svc.Name] = folderRule(strings.TrimPrefix(p, svc.Dir+"/"))
		}
	}
	if len(rules) == 0 && s.isNewLibrary(p) {
		return sameForAll(s.services, "Python library")
	}
	return rules
}

// isNewLibrary reports whether a file has made a folder a library that was none when the sources were read.
func (s pythonSources) isNewLibrary(p string) bool {
	parts := strings.Split(p, "/")
	if len(parts) != 3 || parts[0] != "python" || slices.Contains(s.libraries, path.Dir(p)) {
		return false
	}
	return isLibrary(filepath.Join(s.workspace, "python", parts[1]))
}

// goesIn reports whether a path is a folder's, of one above it, or of something in it, save in the folders except.
func goesIn(p, dir string, except ...string) bool {
	return within(dir, p) || within(p, dir) && !slices.ContainsFunc(except, func(e string) bool { return within(p, dir+"/"+e) })
}

// pythonIgnores reports whether files and folders of this name are left out of builds.
func pythonIgnores(name string) bool {
	return notInContext[name] || strings.HasSuffix(name, ".egg-info")
}
