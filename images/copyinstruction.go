package images

import (
	"fmt"
	"path"
	"strings"
)

// copyInstruction is a COPY (or ADD) from the build's context, with its variables replaced.
type copyInstruction struct {
	name    string   // what is written, and where
	sources []string // patterns, relative to the context
	dest    string   // absolute; ends with a slash where it must be a folder
}

// placed is where a COPY puts one file or folder of the context.
type placed struct {
	from, to string
	folder   bool
}

// place returns what the instruction puts where, as BuildKit does it: a folder gives its content, and a file goes into
// the destination when that is a folder, and else takes its name. Matched are the numbers of what each source found.
func (c copyInstruction) place(t contextTree, intoFolder bool) (files []placed, matched []int, err error) {
	intoFolder = intoFolder || strings.HasSuffix(c.dest, "/")
	dest, paths := path.Clean(c.dest), t.paths()
	for _, source := range c.sources {
		found, err := t.match(source)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", c.name, err)
		}
		matched = append(matched, len(found))
		for _, m := range found {
			switch {
			case m != "." && !t[m].folder && intoFolder:
				files = append(files, placed{from: m, to: path.Join(dest, path.Base(m))})
			case m != "." && !t[m].folder:
				files = append(files, placed{from: m, to: dest})
			default:
				for _, p := range paths {
					if rel, ok := below(p, m); ok {
						files = append(files, placed{from: p, to: path.Join(dest, rel), folder: t[p].folder})
					}
				}
			}
		}
	}
	return files, matched, nil
}

// match returns the paths that a source names. Nothing that matches a pattern is fine, nothing under a plain name not.
func (t contextTree) match(source string) ([]string, error) {
	var fixed, pattern []string
	for part := range strings.SplitSeq(source, "/") {
		if pattern != nil || strings.ContainsAny(part, "*?[") {
			pattern = append(pattern, part)
		} else {
			fixed = append(fixed, part)
		}
	}
	base := path.Join(append([]string{"."}, fixed...)...)
	if _, ok := t[base]; !ok && base != "." {
		return nil, fmt.Errorf("there is no %s", base)
	}
	if pattern == nil {
		return []string{base}, nil
	}
	var found []string
	for _, p := range t.paths() {
		rel, ok := below(p, base)
		if !ok {
			continue
		}
		if ok, err := path.Match(strings.Join(pattern, "/"), rel); err != nil {
			return nil, err
		} else if ok {
			found = append(found, p)
		}
	}
	return found, nil
}

// below returns a path relative to a folder that it is in; "." is the context.
func below(p, dir string) (rel string, ok bool) {
	if dir == "." {
		return p, true
	}
	return strings.CutPrefix(p, dir+"/")
}
