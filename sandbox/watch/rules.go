package watch

import (
	"os"
	"path"
	"path/filepath"
)

// rules decides what is left out. It holds the ignore files of the folders that have been read.
type rules struct {
	extra  func(rel string, dir bool) bool // the caller's rule, or nil
	outer  []outerRules                    // of the folders above the root, the nearest first
	git    map[string]gitRules             // by folder
	docker map[string]dockerRules          // by folder
}

type gitRules struct {
	of       stamp
	patterns []gitPattern
}

// outerRules are those of a folder above the root, and where the root is, seen from there.
type outerRules struct {
	root     string
	patterns []gitPattern
}

func newRules(root string, extra func(string, bool) bool) rules {
	return rules{extra: extra, outer: readOuter(root), git: map[string]gitRules{}, docker: map[string]dockerRules{}}
}

// ignored reports whether a file or folder is left out. Its parents are not: nobody asks below a folder that is.
func (r *rules) ignored(rel string, dir bool) bool {
	name := path.Base(rel)
	if dir && hiddenFolder(name) || !dir && editorFile(name) {
		return true
	}
	return r.gitIgnored(rel, dir) || r.dockerIgnored(rel, dir) || r.extra != nil && r.extra(rel, dir)
}

// gitIgnored asks the nearest .gitignore first: the first that has a pattern for the path decides.
func (r *rules) gitIgnored(rel string, dir bool) bool {
	for _, at := range parents(rel) {
		if ignore, found := lastMatch(r.git[at].patterns, below(at, rel), dir); found {
			return ignore
		}
	}
	for _, o := range r.outer {
		if ignore, found := lastMatch(o.patterns, path.Join(o.root, rel), dir); found {
			return ignore
		}
	}
	return false
}

// below returns rel as seen from the folder at, which it lies in.
func below(at, rel string) string {
	if at == "." {
		return rel
	}
	return rel[len(at)+1:]
}

// ignoreFile reports whether the file of this name holds rules.
func ignoreFile(name string) bool { return name == ".gitignore" || name == ".dockerignore" }

// refresh reads the ignore files of a folder if they are not those that it knows. The .dockerignore counts only where
// the folder can be a service's: one at the workspace's root may be for another purpose and exclude, say, the charts.
func (r *rules) refresh(abs, rel string, docker bool) {
	refreshOne(r.git, rel, filepath.Join(abs, ".gitignore"), func(g gitRules) stamp { return g.of },
		func(of stamp, text string) gitRules { return gitRules{of, parseGitignore(text)} })
	if !docker {
		return
	}
	refreshOne(r.docker, rel, filepath.Join(abs, ".dockerignore"), func(d dockerRules) stamp { return d.of }, parseDockerignore)
}

func refreshOne[T any](known map[string]T, rel, file string, of func(T) stamp, parse func(stamp, string) T) {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		delete(known, rel)
		return
	}
	old, ok := known[rel]
	if s := stampOf(info); !ok || of(old) != s {
		text, err := os.ReadFile(file)
		if err != nil {
			text = nil // as git does: what can't be read excludes nothing
		}
		known[rel] = parse(s, string(text))
	}
}

// forget drops the ignore files of a folder that is gone.
func (r *rules) forget(rel string) {
	delete(r.git, rel)
	delete(r.docker, rel)
}

// readOuter reads the .gitignore files between the root and the top of the git repository that it lies in, once: they
// hardly change while one works. They don't count when they exclude the root itself: then it isn't part of that
// repository in the user's eyes, but, say, a checkout in its scratch folder.
func readOuter(root string) []outerRules {
	var outer []outerRules
	for dir := root; !exists(filepath.Join(dir, ".git")); {
		up := filepath.Dir(dir)
		if up == dir {
			return nil // in no repository
		}
		dir = up
		rel, err := filepath.Rel(dir, root)
		if err != nil {
			return nil
		}
		text, _ := os.ReadFile(filepath.Join(dir, ".gitignore"))
		outer = append(outer, outerRules{filepath.ToSlash(rel), parseGitignore(string(text))})
	}
	for _, o := range outer {
		for at := o.root; at != "."; at = path.Dir(at) {
			if ignore, _ := lastMatch(o.patterns, at, true); ignore {
				return nil
			}
		}
	}
	return outer
}

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}
