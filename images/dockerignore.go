package images

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// ignoreFiles are where a build looks for what its context doesn't hold; the first that is there counts.
var ignoreFiles = []string{"Dockerfile.dockerignore", ".dockerignore"}

// withoutIgnored returns the part of a context that the builder sees.
func (t contextTree) withoutIgnored() (contextTree, error) {
	i := slices.IndexFunc(ignoreFiles, func(name string) bool { f, ok := t[name]; return ok && !f.folder })
	if i < 0 {
		return t, nil
	}
	text, err := t.read(ignoreFiles[i])
	if err != nil {
		return nil, err
	}
	matcher, err := ignoreMatcher(text)
	text.Close()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ignoreFiles[i], err)
	}
	seen := contextTree{}
	for p, f := range t {
		ignored, err := matcher.MatchesOrParentMatches(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", ignoreFiles[i], err)
		}
		if ignored {
			continue
		}
		seen[p] = f
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) { // an exception's folders come with it
			seen[dir] = t[dir]
		}
	}
	return seen, nil
}

func ignoreMatcher(r io.Reader) (*patternmatcher.PatternMatcher, error) {
	patterns, err := ignorefile.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return patternmatcher.New(patterns)
}

// leftOut tells what in a service's folder is none of its sources: what no context has, and what its .dockerignore, or
// its [ServiceFile], leaves out. A folder is left out only where no pattern could take something in it in again.
func leftOut(workspace string, svc Service) (func(rel string) bool, error) {
	var matcher *patternmatcher.PatternMatcher
	var written string // by its command
	folder := filepath.Join(workspace, filepath.FromSlash(svc.Dir))
	switch svc.Language {
	case Dockerfile:
		for _, name := range ignoreFiles {
			content, err := os.ReadFile(filepath.Join(folder, name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err == nil {
				matcher, err = ignoreMatcher(bytes.NewReader(content))
			}
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", svc.Dir, name, err)
			}
			break
		}
	case Command:
		how, err := readServiceFile(workspace, svc)
		if err != nil {
			return nil, err
		}
		if how.oci != "" {
			written = path.Clean(how.oci)
		}
		if matcher, err = patternmatcher.New(how.ignore); err != nil {
			return nil, fmt.Errorf("%s/%s: ignore: %w", svc.Dir, ServiceFile, err)
		}
	}
	return func(rel string) bool {
		switch p := filepath.ToSlash(rel); {
		case skipInContext(rel), written != "" && within(p, written):
			return true
		case matcher == nil, p == "Dockerfile", slices.Contains(ignoreFiles, p):
			return false
		default:
			ignored, err := matcher.MatchesOrParentMatches(p)
			return err == nil && ignored && !(matcher.Exclusions() && isFolder(filepath.Join(folder, rel)))
		}
	}, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (t contextTree) read(p string) (io.ReadCloser, error) {
	r, err := t[p].open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	return r, nil
}
