package images

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// goCommands is where the Go services are.
const goCommands = "go/cmd"

// moduleFiles are a Go module's own, which the workspace's Makefile copies into a service's build, as it does with pkg.
var moduleFiles = []string{"go.mod", "go.sum"}

// notServices are the folders of a workspace in which no services of other languages are looked for.
var notServices = []string{"go", "python", "proto-files", "charts", "configuration", "scenarios", "datasets", "node_modules"}

// ServiceFolders returns the names of the workspace's folders that have the shape of a service, whether anything refers to
// them or not.
func ServiceFolders(workspace string) ([]string, error) {
	folders, _, err := serviceFolders(workspace)
	var names []string
	for n := range folders {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, err
}

// SourceFolders returns the top folders of a workspace whose files go into images: those of the platform's layout, there
// or not, and those of services in other languages.
func SourceFolders(workspace string) ([]string, error) {
	var dirs []string
	for _, tree := range sourceTrees {
		dirs = append(dirs, tree.dir)
	}
	folders, _, err := serviceFolders(workspace)
	if err != nil {
		return nil, err
	}
	for _, s := range folders {
		if top := topFolder(s.Dir); !slices.Contains(dirs, top) {
			dirs = append(dirs, top)
		}
	}
	slices.Sort(dirs)
	return dirs, nil
}

// topFolder is the folder of a workspace in which a path lies.
func topFolder(p string) string {
	for path.Dir(p) != "." {
		p = path.Dir(p)
	}
	return p
}

// BuiltOtherwise reports whether one of the services is built in another way than when it was discovered, because a
// Dockerfile or a [ServiceFile] came or went.
func BuiltOtherwise(workspace string, services []Service) (bool, error) {
	folders, _, err := serviceFolders(workspace)
	return slices.ContainsFunc(services, func(s Service) bool {
		now, there := folders[s.Name]
		return there && (now.Dir != s.Dir || now.Language != s.Language)
	}), err
}

// serviceFolders lists the folders that have the shape of a service, by name, and those that nearly have.
func serviceFolders(workspace string) (map[string]Service, []NotBuilt, error) {
	folders := map[string]Service{}
	var idle []NotBuilt
	look := func(parent string, kind func(dir string) (language, reason string)) error {
		names, err := subfolders(filepath.Join(workspace, filepath.FromSlash(parent)))
		for _, n := range names {
			dir := parent + "/" + n
			language, reason := kind(filepath.Join(workspace, filepath.FromSlash(dir)))
			other, taken := folders[n]
			switch {
			case language == "" && reason == "":
			case language == "":
				idle = append(idle, NotBuilt{n, dir, reason})
			case taken:
				idle = append(idle, NotBuilt{n, dir, other.Dir + " has the same name"})
			default:
				folders[n] = Service{Name: n, Dir: dir, Language: language}
			}
		}
		return err
	}
	usual, _ := os.ReadFile(filepath.Join(workspace, "go", "Dockerfile")) // need not be there
	if err := look(goCommands, func(dir string) (string, string) { return goFolder(dir, usual), "" }); err != nil {
		return nil, nil, err
	}
	if err := look("python", pythonFolder); err != nil {
		return nil, nil, err
	}
	tops, err := subfolders(workspace)
	if err != nil {
		return nil, nil, err
	}
	for _, top := range tops {
		if slices.Contains(notServices, top) {
			continue
		}
		if err := look(top, func(dir string) (string, string) { return otherFolder(dir), "" }); err != nil {
			return nil, nil, err
		}
	}
	return folders, idle, nil
}

// otherFolder returns the language of a service that only a file in its folder makes one; "" where there is none.
func otherFolder(dir string) string {
	switch {
	case exists(filepath.Join(dir, ServiceFile)):
		return Command
	case exists(filepath.Join(dir, "Dockerfile")):
		return Dockerfile
	}
	return ""
}

// goFolder tells a service that is compiled here from one whose Dockerfile isn't the usual one. A copy of that is what
// the workspace's Makefile leaves there when it is interrupted.
func goFolder(dir string, usual []byte) string {
	sources, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	own, err := os.ReadFile(filepath.Join(dir, "Dockerfile"))
	switch {
	case exists(filepath.Join(dir, ServiceFile)):
		return Command
	case err == nil && !bytes.Equal(own, usual):
		return Dockerfile
	case len(sources) > 0:
		return Go
	}
	return ""
}

func pythonFolder(dir string) (language, reason string) {
	sources, _ := filepath.Glob(filepath.Join(dir, "*.py"))
	switch {
	case exists(filepath.Join(dir, ServiceFile)):
		return Command, ""
	case exists(filepath.Join(dir, "main.py")):
		return Python, ""
	case isLibrary(dir):
		return "", ""
	case exists(filepath.Join(dir, "Dockerfile")):
		return Dockerfile, ""
	case len(sources) > 0:
		return "", "it has no main.py"
	}
	return "", ""
}
