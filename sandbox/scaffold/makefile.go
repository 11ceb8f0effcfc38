package scaffold

import (
	"regexp"
	"slices"
	"strings"
)

// assignment begins a variable of a Makefile.
var assignment = regexp.MustCompile(`(?m)^[A-Za-z_][A-Za-z0-9_.-]*[ \t]*(?::{0,3}|\?|\+)=`)

// word is one of a variable's value.
var word = regexp.MustCompile(`[^\s\\]+`)

// targets finds the variable of a Makefile that lists services: the one whose value has the most of those known. With a name
// it is one that has this too. It returns where its words stand, up to a comment.
func targets(content string, known []string, name string) []span {
	var best []span
	most := 0
	for _, at := range assignment.FindAllStringIndex(content, -1) {
		end := at[1]
		for { // a line that ends with a backslash goes on
			n := strings.IndexByte(content[end:], '\n')
			if n < 0 {
				end = len(content)
				break
			}
			end += n
			if content[end-1] != '\\' {
				break
			}
			end++
		}
		value, _, _ := strings.Cut(content[at[1]:end], "#")
		var words []span
		count, named := 0, name == ""
		for _, w := range word.FindAllStringIndex(value, -1) {
			words = append(words, span{at[1] + w[0], at[1] + w[1]})
			if slices.Contains(known, value[w[0]:w[1]]) {
				count++
			}
			named = named || value[w[0]:w[1]] == name
		}
		if named && count > most {
			best, most = words, count
		}
	}
	return best
}

// addTarget adds a service to the Makefile's list of them, and reports whether it has one.
func addTarget(content, name string, known []string) (string, bool) {
	words := targets(content, known, "")
	if len(words) == 0 {
		return content, false
	}
	end := words[len(words)-1].end
	return content[:end] + " " + name + content[end:], true
}

// removeTarget takes a service out of the Makefile's list, which is chosen as [addTarget] does.
func removeTarget(content, name string, known []string) string {
	for _, w := range targets(content, append(slices.Clone(known), name), name) {
		if content[w.start:w.end] == name {
			start := w.start
			if start > 0 && content[start-1] == ' ' {
				start--
			}
			return content[:start] + content[w.end:]
		}
	}
	return content
}

// testPaths are the folders that pytest looks into, in a pyproject.toml.
var testPaths = regexp.MustCompile(`(?m)^testpaths[ \t]*=[ \t]*\[[^\]]*\]`)

// addTestPath adds a service's tests to those of the services known, where they are listed.
func addTestPath(content, name string, known []string) string {
	at := testPaths.FindStringIndex(content)
	if at == nil {
		return content
	}
	end := -1
	for _, k := range known {
		if i := strings.Index(content[at[0]:at[1]], quote(k+"/tests")); i >= 0 {
			end = max(end, at[0]+i+len(quote(k+"/tests")))
		}
	}
	if end < 0 {
		return content
	}
	return content[:end] + ", " + quote(name+"/tests") + content[end:]
}

func removeTestPath(content, name string) string {
	at := testPaths.FindStringIndex(content)
	if at == nil {
		return content
	}
	list := strings.Replace(content[at[0]:at[1]], ", "+quote(name+"/tests"), "", 1)
	return content[:at[0]] + list + content[at[1]:]
}
