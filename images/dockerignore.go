package images

import (
	"fmt"
	"io"
	"path"
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
	patterns, err := ignorefile.ReadAll(text)
	text.Close()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ignoreFiles[i], err)
	}
	matcher, err := patternmatcher.New(patterns)
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

func (t contextTree) read(p string) (io.ReadCloser, error) {
	r, err := t[p].open()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", p, err)
	}
	return r, nil
}
