package watch

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// gitPattern is one line of a .gitignore file.
//
// Its own reading of the format, because those that are to be had don't read it as git does: they lack "**", or the
// order of the lines, or "[!a]". The test compares this one with git itself.
type gitPattern struct {
	match    func(string) bool
	again    bool // "!": what matches is not ignored after all
	dirOnly  bool // "name/"
	baseOnly bool // no slash: matches the last element, at any depth
}

// parseGitignore returns the patterns of a .gitignore file, in its order.
func parseGitignore(text string) []gitPattern {
	var ps []gitPattern
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\ufeff"), "\n") {
		if p, ok := parseGitPattern(line); ok {
			ps = append(ps, p)
		}
	}
	return ps
}

func parseGitPattern(line string) (p gitPattern, ok bool) {
	if strings.HasPrefix(line, "#") {
		return p, false
	}
	line = strings.TrimSuffix(line, "\r")
	for strings.HasSuffix(line, " ") && !strings.HasSuffix(line, `\ `) {
		line = line[:len(line)-1]
	}
	line, p.again = strings.CutPrefix(line, "!")
	line, p.dirOnly = strings.CutSuffix(line, "/")
	p.baseOnly = !strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return p, false
	}
	p.match, ok = compileGlob(line)
	return p, ok
}

// matches reports whether the pattern is meant for the path, relative to the folder of its file.
func (p gitPattern) matches(rel string, dir bool) bool {
	if p.dirOnly && !dir {
		return false
	}
	if p.baseOnly {
		rel = path.Base(rel)
	}
	return p.match(rel)
}

// lastMatch asks the patterns from the last one on: the first that matches decides.
func lastMatch(ps []gitPattern, rel string, dir bool) (ignore, found bool) {
	for _, p := range slices.Backward(ps) {
		if p.matches(rel, dir) {
			return !p.again, true
		}
	}
	return false, false
}

// compileGlob turns a pattern into a test. Most are a name or "*.ext", and are spared the regular expression: every
// pattern is asked for every file, when polling every second.
func compileGlob(glob string) (match func(string) bool, ok bool) {
	const special = `*?[\`
	if !strings.ContainsAny(glob, special) {
		return func(s string) bool { return s == glob }, true
	}
	if ext, ok := strings.CutPrefix(glob, "*"); ok && !strings.ContainsAny(ext, special+"/") {
		return func(s string) bool { return strings.HasSuffix(s, ext) && !strings.Contains(s, "/") }, true
	}
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(glob); {
		rest := glob[i:]
		stars := len(rest) - len(strings.TrimLeft(rest, "*"))
		alone := stars >= 2 && (i == 0 || glob[i-1] == '/') // "**" spans folders only between slashes
		switch {
		case alone && strings.HasPrefix(rest[stars:], "/"):
			b.WriteString("(?:.*/)?")
			i += stars + 1
		case alone && len(rest) == stars:
			b.WriteString(".+")
			i += stars
		case stars > 0:
			b.WriteString("[^/]*")
			i += stars
		case rest[0] == '?':
			b.WriteString("[^/]")
			i++
		case rest[0] == '[':
			class, n := globClass(rest)
			if n == 0 {
				return nil, false // git matches nothing with it either
			}
			b.WriteString(class)
			i += n
		case rest[0] == '\\':
			if len(rest) == 1 {
				return nil, false
			}
			b.WriteString(regexp.QuoteMeta(rest[1:2]))
			i += 2
		default:
			b.WriteString(regexp.QuoteMeta(rest[:1]))
			i++
		}
	}
	re, err := regexp.Compile("(?s)" + b.String() + "$")
	if err != nil {
		return nil, false
	}
	return re.MatchString, true
}

// globClass translates the bracket expression that s begins with, and returns its length in s; 0 if it has no end.
func globClass(s string) (class string, n int) {
	var b strings.Builder
	b.WriteString("[")
	i := 1
	if i < len(s) && (s[i] == '!' || s[i] == '^') {
		b.WriteString("^/")
		i++
	}
	for first := true; i < len(s); first = false {
		switch c := s[i]; {
		case c == ']' && !first:
			return b.String() + "]", i + 1
		case c == '[' && strings.HasPrefix(s[i:], "[:") && strings.Contains(s[i:], ":]"):
			end := i + strings.Index(s[i:], ":]") + 2
			b.WriteString(s[i:end])
			i = end
			continue
		case c == '\\' && strings.HasPrefix(s[i+1:], "-"):
			i++
			b.WriteString(`\-`)
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(s[i : i+1]))
		}
		i++
	}
	return "", 0
}
