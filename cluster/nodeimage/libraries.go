package nodeimage

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// closure returns the programs and plugins given, and every shared library and loader that they need, directly or not,
// as paths in the tree at root. Links are followed to the file, and the name they are looked up by is kept.
//
// A library that isn't in the tree is an error: what lacks one fails only when it is used (kube-proxy without libm
// programs no Services, and says so in its log alone).
func closure(root string, names []string) ([]entry, error) {
	var found []entry
	seen := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		file, err := resolveIn(root, name)
		if err != nil {
			return nil, err
		}
		found = append(found, entry{from: file, to: name, mode: 0o755})
		needs, err := needed(file)
		if err != nil {
			return nil, fmt.Errorf("read what %s is linked with: %w", name, err)
		}
		for _, n := range needs {
			at, err := findLibrary(root, n)
			if err != nil {
				return nil, fmt.Errorf("%s needs %w", name, err)
			}
			names = append(names, at)
		}
	}
	return found, nil
}

// needed returns the libraries that an ELF file names, and its loader.
func needed(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	libs, err := f.ImportedLibraries()
	if err != nil {
		return nil, err
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			name := make([]byte, p.Filesz)
			if _, err := p.ReadAt(name, 0); err != nil {
				return nil, err
			}
			libs = append(libs, string(name[:max(0, len(name)-1)])) // it ends in a zero byte
		}
	}
	return libs, nil
}

// findLibrary returns where the loader finds a library: in Debian's folder for this architecture, or in /usr/lib.
func findLibrary(root, name string) (string, error) {
	if path.IsAbs(name) {
		return name, nil
	}
	dirs, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu*"))
	if err != nil {
		return "", err
	}
	for _, dir := range append(dirs, filepath.Join(root, "usr/lib")) {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return "/" + mustRel(root, filepath.Join(dir, name)), nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// resolveIn follows the links of a path as seen from inside the tree.
func resolveIn(root, name string) (string, error) {
	at := "/"
	rest := strings.TrimPrefix(path.Clean(name), "/")
	for hops := 0; rest != ""; {
		first, after, _ := strings.Cut(rest, "/")
		next := path.Join(at, first)
		target, err := os.Readlink(filepath.Join(root, next))
		if err != nil { // not a link; whether it is there shows at the end
			at, rest = next, after
			continue
		}
		if hops++; hops > 40 {
			return "", fmt.Errorf("follow links of %s: %w", name, errors.New("too many"))
		}
		if !path.IsAbs(target) {
			target = path.Join(at, target)
		}
		at, rest = "/", strings.TrimPrefix(path.Join(target, after), "/")
	}
	full := filepath.Join(root, at)
	if _, err := os.Stat(full); err != nil {
		return "", err
	}
	return full, nil
}

func mustRel(root, name string) string {
	rel, err := filepath.Rel(root, name)
	if err != nil {
		panic(err) // both are absolute, and one is below the other
	}
	return rel
}
