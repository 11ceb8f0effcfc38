package pyenv

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

// requirement is a package that a file asks for, and where.
type requirement struct {
	name   string // in lower case, with hyphens
	bounds bounds
	text   string // as it stands there
	place
}

// place is where something stands in a file of the workspace.
type place struct {
	file         string
	line, column int
}

var (
	named    = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*([^;#@]*?)\s*(;.*)?$`)
	included = regexp.MustCompile(`^(?:-[rc][\s=]*|--(?:requirement|constraint)[\s=]+)(\S+)`)
	loose    = regexp.MustCompile(`[-_.]+`)
)

// canonical is how a package's name is compared.
func canonical(name string) string { return strings.ToLower(loose.ReplaceAllString(name, "-")) }

// parseRequirement reads one; ok is false for what is none (a URL, an option), and for one that holds on some systems only.
func parseRequirement(text string, at place) (r requirement, ok bool) {
	m := named.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil || m[3] != "" {
		return r, false
	}
	bs, ok := parseBounds(m[2])
	return requirement{canonical(m[1]), bs, strings.TrimSpace(text), at}, ok
}

// readRequirements reads a file of requirements and those that it includes. One that isn't there has none. It adds to seen what
// decides what is installed: these files, and those of packages that lie in the workspace.
func readRequirements(workspace, file string, seen map[string]bool) ([]requirement, error) {
	if seen[file] {
		return nil, nil
	}
	seen[file] = true
	content, err := os.ReadFile(filepath.Join(workspace, filepath.FromSlash(file)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rs []requirement
	for i, line := range strings.Split(strings.TrimPrefix(string(content), "\ufeff"), "\n") {
		text := strings.TrimSpace(remark.ReplaceAllString(line, ""))
		if m := included.FindStringSubmatch(text); m != nil {
			more, err := readRequirements(workspace, path.Join(path.Dir(file), m[1]), seen)
			if err != nil {
				return nil, err
			}
			rs = append(rs, more...)
			continue
		}
		if m := local.FindStringSubmatch(text); m != nil {
			if err := seePackage(workspace, []string{path.Join(path.Dir(file), m[2]), path.Clean(m[2])}, m[1] != "", seen); err != nil {
				return nil, err
			}
			continue
		}
		column := len([]rune(line)) - len([]rune(strings.TrimLeft(line, " \t"))) + 1
		if r, ok := parseRequirement(strings.TrimRight(text, " \\"), place{file, i + 1, column}); ok && text != "" {
			rs = append(rs, r)
		}
	}
	return rs, nil
}

// local is a package by its path: a folder or an archive; with what comes before, it is used from where it lies.
var local = regexp.MustCompile(`^(-e\s+|--editable[\s=]+)?(\.\.?(?:/[^\s\[;]*)?)(?:\[[^\]]*\])?\s*(?:;.*)?$`)

// seePackage notes the files of a package that lies at the first of some places: pip looks from the folder that it is called in,
// which may be that of the requirements or the workspace.
func seePackage(workspace string, places []string, inPlace bool, seen map[string]bool) error {
	for _, at := range places {
		root := filepath.Join(workspace, filepath.FromSlash(at))
		if isFile(root) {
			seen[at] = true
			return nil
		}
		if !exists(root) {
			continue
		}
		if inPlace {
			files, err := packageFiles(workspace, at)
			for _, f := range files {
				seen[f] = true
			}
			return err
		}
		return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && p != root && leftOver(d.Name()):
				return fs.SkipDir
			case !d.Type().IsRegular():
				return nil
			}
			rel, err := filepath.Rel(workspace, p)
			seen[filepath.ToSlash(rel)] = true
			return err
		})
	}
	return nil
}

// leftOver reports whether a folder of a package is what tools leave there.
func leftOver(folder string) bool {
	return strings.HasPrefix(folder, ".") || folder == "__pycache__" || folder == "build" || folder == "dist" || strings.HasSuffix(folder, ".egg-info")
}

var (
	remark = regexp.MustCompile(`(^|\s)#.*$`)
	quoted = regexp.MustCompile(`"([^"\n]*)"|'([^'\n]*)'`)
)

// readPackage reads what a package to install asks for: of its setup.py, setup.cfg or pyproject.toml whatever stands between
// quotes, and of setup.cfg whole lines, and has the shape of a requirement with a version.
func readPackage(workspace, folder string) ([]requirement, error) {
	var rs []requirement
	for _, name := range []string{"pyproject.toml", "setup.py", "setup.cfg"} {
		file := path.Join(folder, name)
		content, err := os.ReadFile(filepath.Join(workspace, filepath.FromSlash(file)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for i, line := range strings.Split(string(content), "\n") {
			line = remark.ReplaceAllString(line, "")
			texts := quoted.FindAllStringIndex(line, -1)
			if name == "setup.cfg" {
				texts = [][]int{{len(line) - len(strings.TrimLeft(line, " \t")), len(line)}}
			}
			for _, at := range texts {
				text := strings.Trim(line[at[0]:at[1]], `"' `)
				r, ok := parseRequirement(text, place{file, i + 1, utf8.RuneCountInString(line[:at[0]]) + 1})
				if ok && len(r.bounds) > 0 {
					rs = append(rs, r)
				}
			}
		}
	}
	return rs, nil
}

// word is a text in a package's files that may be the name of one that is read when it is built.
var word = regexp.MustCompile(`[^\s"',;:=()\[\]{}#]+`)

// packageFiles are the files that decide what a package asks for: those that say so, and those that they name, where these lie
// in the folder or beside it.
func packageFiles(workspace, folder string) ([]string, error) {
	var files []string
	named := map[string]bool{}
	for _, name := range []string{"pyproject.toml", "setup.py", "setup.cfg"} {
		file := path.Join(folder, name)
		content, err := os.ReadFile(filepath.Join(workspace, filepath.FromSlash(file)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		for _, text := range word.FindAllString(string(content), -1) {
			named[path.Base(text)] = true // setup.py may put a path together
			if strings.HasPrefix(text, "../") && isFile(filepath.Join(workspace, filepath.FromSlash(folder), filepath.FromSlash(text))) {
				files = append(files, path.Join(folder, text))
			}
		}
	}
	root := filepath.Join(workspace, filepath.FromSlash(folder))
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != root && leftOver(d.Name()):
			return fs.SkipDir
		case !named[d.Name()] || !isFile(p):
			return nil
		}
		rel, err := filepath.Rel(workspace, p)
		files = append(files, filepath.ToSlash(rel))
		return err
	})
	return files, err
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
