package images

import (
	"path"
	"strings"
)

// folderSources are what services are built from that are known by their folder alone: those with a Dockerfile or a
// command of their own.
type folderSources struct {
	services []Service
	leftOut  map[string]func(rel string) bool // what in its folder is none of a service's sources
	folders  []string                         // of all services, whether anything refers to them or not
}

func readFolderSources(workspace string, services []Service) (folderSources, error) {
	s := folderSources{services: services, leftOut: map[string]func(string) bool{}}
	all, _, err := serviceFolders(workspace)
	if err != nil {
		return s, err
	}
	for _, svc := range all {
		s.folders = append(s.folders, svc.Dir)
	}
	for _, svc := range services {
		skip, err := leftOut(workspace, svc)
		if err != nil { // the build will tell
			skip = skipInContext
		}
		s.leftOut[svc.Name] = skip
	}
	return s, nil
}

func (s folderSources) rules(p string) map[string]string {
	rules := map[string]string{}
	for _, svc := range s.services {
		if rule := s.rule(svc, p); rule != "" {
			rules[svc.Name] = rule
		}
	}
	return rules
}

// rule is how a file goes into one service; "" when it doesn't.
func (s folderSources) rule(svc Service, p string) string {
	if rel, inside := strings.CutPrefix(p, svc.Dir+"/"); inside {
		if s.skips(svc, rel) {
			return ""
		}
		return folderRule(rel)
	}
	switch {
	case within(svc.Dir, p):
		return "its folder"
	case isEditorFile(path.Base(p)):
	case svc.Language == Dockerfile && within(svc.Dir, goCommands):
		for _, file := range append([]string{"pkg"}, moduleFiles...) {
			if within(p, "go/"+file) {
				return "copied into its build"
			}
		}
	case svc.Language == Command && (within(p, topFolder(svc.Dir)) || within(p, "proto-files")) && !s.otherService(p):
		return "its command may read it"
	}
	return ""
}

// skips reports whether a file, or a folder that it lies in, is none of a service's sources.
func (s folderSources) skips(svc Service, rel string) bool {
	if s.leftOut[svc.Name](rel) { // which looks at patterns for the folders too
		return true
	}
	for ; rel != "."; rel = path.Dir(rel) {
		if skipInContext(rel) {
			return true
		}
	}
	return false
}

func (s folderSources) otherService(p string) bool {
	for _, dir := range s.folders {
		if within(p, dir) {
			return true
		}
	}
	return false
}

// folderRule says what a file in a service's folder is to its build.
func folderRule(rel string) string {
	switch rel {
	case "Dockerfile", ServiceFile, "requirements.txt":
		return "its " + rel
	}
	return "its folder"
}
