package watch

import (
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// dockerRules are a .dockerignore's, as the engine reads them.
type dockerRules struct {
	of      stamp
	matcher *patternmatcher.PatternMatcher // nil when the file is empty or wrong: the build says so, and excludes nothing
}

func parseDockerignore(of stamp, text string) dockerRules {
	r := dockerRules{of: of}
	lines, err := ignorefile.ReadAll(strings.NewReader(text))
	if err != nil || len(lines) == 0 {
		return r
	}
	if m, err := patternmatcher.New(lines); err == nil {
		r.matcher = m
	}
	return r
}

// dockerIgnored asks every .dockerignore on the way: a folder that has one is a build context, and what is left out of
// it can't change its image.
func (r *rules) dockerIgnored(rel string, dir bool) bool {
	for _, at := range parents(rel) {
		m := r.docker[at].matcher
		if m == nil {
			continue
		}
		name := below(at, rel)
		// An exclusion ("!src/keep") may bring back something below a folder that is excluded.
		if dir && m.Exclusions() || !dir && dockerFile(name) {
			continue
		}
		if ignored, err := m.MatchesOrParentMatches(name); err == nil && ignored {
			return true
		}
	}
	return false
}

// dockerFile reports whether the build needs the file even where the .dockerignore beside it excludes it.
func dockerFile(name string) bool {
	return name == ".dockerignore" || strings.HasPrefix(name, "Dockerfile") || strings.HasSuffix(name, ".Dockerfile")
}
