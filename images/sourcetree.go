package images

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// notInContext are the names of folders that no image needs and that change all the time.
var notInContext = map[string]bool{
	"__pycache__": true, ".git": true, ".venv": true, "venv": true, ".pytest_cache": true, ".mypy_cache": true, ".ruff_cache": true,
}

// editorFiles match what editors keep beside a file that is open: Emacs' locks and saves, vi's swap files, backups.
var editorFiles = []string{".#*", "#*#", "*.swp", "*.swo", "*~"}

// skipInContext reports whether a file or folder of a Python service is none of its sources.
func skipInContext(rel string) bool {
	name := filepath.Base(rel)
	return notInContext[name] || strings.HasSuffix(name, ".egg-info") || isEditorFile(name)
}

// skipInModule does so for a Go module, where every folder may be a package, whatever its name.
func skipInModule(rel string) bool {
	name := filepath.Base(rel)
	return name == ".git" || isEditorFile(name)
}

func isEditorFile(name string) bool {
	return slices.ContainsFunc(editorFiles, func(pattern string) bool {
		match, _ := filepath.Match(pattern, name)
		return match
	})
}

// walkTree calls visit for a folder (as ".") and what is below it, by name and a folder before its content, except for
// what skip says. Links are followed, because what they lead to may be outside; those that lead nowhere, or to a folder
// that they are in, have nothing to give and are passed over.
func walkTree(dir string, skip func(rel string) bool, visit func(rel string, info fs.FileInfo) error) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	return walkFolder(dir, ".", []fs.FileInfo{info}, skip, visit)
}

// walkFolder walks one folder; within are those that it lies in, and itself.
func walkFolder(root, rel string, within []fs.FileInfo, skip func(string) bool, visit func(string, fs.FileInfo) error) error {
	if err := visit(rel, within[len(within)-1]); err != nil {
		return err
	}
	entries, err := os.ReadDir(filepath.Join(root, rel))
	if rel != "." && errors.Is(err, fs.ErrNotExist) {
		return nil // gone since it was listed
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := filepath.Join(rel, e.Name())
		if skip(at) {
			continue
		}
		info, err := os.Stat(filepath.Join(root, at))
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ELOOP):
			continue
		case err != nil:
			return err
		case info.Mode().IsRegular():
			err = visit(at, info)
		case info.IsDir() && !slices.ContainsFunc(within, func(above fs.FileInfo) bool { return os.SameFile(above, info) }):
			err = walkFolder(root, at, append(within, info), skip, visit)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
