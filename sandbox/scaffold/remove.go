package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// EditedError tells files that would be lost: they aren't what [AddMicroservice] wrote.
type EditedError struct {
	Name  string
	Files []string
}

// Error names the files.
func (e *EditedError) Error() string {
	return fmt.Sprintf("%s isn't as dynsandbox new writes it now, and would be lost: %s", e.Name, strings.Join(e.Files, ", "))
}

// RemoveMicroservice works out what undoes [AddMicroservice]. Files that were edited since, or added, are an [EditedError]
// unless force is set.
func RemoveMicroservice(w Workspace, name string, force bool) (Changes, error) {
	launch, err := w.readLaunchFiles()
	if err != nil {
		return nil, err
	}
	dir, language, err := w.folderOf(name, launch.set)
	if err != nil {
		return nil, err
	}
	written, err := w.serviceFiles(name, language)
	if err != nil {
		return nil, err
	}
	others, err := w.requirementsOf(name, names(launch.set))
	if err != nil {
		return nil, err
	}
	written = append(written, others...)
	if kind, option, ok := usedBy(launch.set, name); ok {
		scenario, err := w.scenario(launch.set, name, kind, option)
		if err != nil && !isChoice(err) {
			return nil, err
		}
		written = append(written, scenario...)
	}
	files, err := w.filesBelow(dir)
	if err != nil {
		return nil, err
	}
	gone, err := w.removeFiles(name, append(files, w.scenarioFile(name)), written, nil, force)
	if err != nil {
		return nil, err
	}
	if err := launch.remove(name); err != nil {
		return nil, err
	}
	if _, err := launch.check(w, ""); err != nil {
		return nil, fmt.Errorf("without %s the launch files would have errors: %w", name, err)
	}
	made, err := w.removeListings(language, name, names(launch.set))
	return slices.Concat(gone, launch.changes(), made).sorted(), err
}

// isChoice tells that no scenario can be made, so that none is known to be as it was written.
func isChoice(err error) bool { return errors.As(err, new(*ChoiceError)) }

// removeFiles removes those of the files that are there. Those that aren't as written are an [EditedError] unless force is set,
// together with others of which that is known already.
func (w Workspace) removeFiles(name string, files []string, written Changes, known []string, force bool) (Changes, error) {
	var gone Changes
	edited := &EditedError{Name: name, Files: known}
	for _, file := range files {
		content, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(file)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(written, func(c Change) bool { return c.Path == file && bytes.Equal(c.After, content) }) {
			edited.Files = append(edited.Files, file)
		}
		gone = append(gone, Change{Path: file, Before: content})
	}
	if len(edited.Files) > 0 && !force {
		return nil, edited
	}
	return gone, nil
}

// folderOf finds a service that a launch file names.
func (w Workspace) folderOf(name string, set *fixtures.Set) (dir, language string, err error) {
	if known := names(set); !slices.Contains(known, name) {
		return "", "", wrong(nearest.Hint(name, known), "no service %q in %s", name, microservicesFile)
	}
	for _, language := range Languages {
		dir := path.Join(parent(language, 2), name)
		if info, err := os.Lstat(filepath.Join(w.Dir, dir)); err == nil && info.IsDir() {
			return dir, language, nil
		}
	}
	return "", "", wrong("", "%s has no folder in %s or %s", name, parent(images.Python, 1), parent(images.Go, 2))
}

// usedBy returns the request type that a service is a part of, and the option that adds it.
func usedBy(set *fixtures.Set, name string) (requestType, option string, ok bool) {
	for _, r := range set.RequestTypes {
		if option, ok := r.OptionalServices[name]; ok || slices.Contains(r.RequiredServices, name) {
			return r.Name, option, true
		}
	}
	return "", "", false
}

// filesBelow lists the files in a folder of the workspace, without those that tools leave.
func (w Workspace) filesBelow(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(filepath.Join(w.Dir, filepath.FromSlash(dir)), func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case isToolFolder(d):
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		rel, err := filepath.Rel(w.Dir, p)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	return files, err
}
