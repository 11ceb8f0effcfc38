package scaffold

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/fault"
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

// addTestPath adds a service's tests to those of the services known, where they are listed, and reports whether pytest looks
// into them now: where nothing is listed, it looks everywhere.
func addTestPath(content, name string, known []string) (string, bool) {
	at := testPaths.FindStringIndex(content)
	if at == nil {
		return content, true
	}
	end := -1
	for _, k := range known {
		if i := strings.Index(content[at[0]:at[1]], quote(k+"/tests")); i >= 0 {
			end = max(end, at[0]+i+len(quote(k+"/tests")))
		}
	}
	if end < 0 {
		return content, false
	}
	return content[:end] + ", " + quote(name+"/tests") + content[end:], true
}

func removeTestPath(content, name string) string {
	at := testPaths.FindStringIndex(content)
	if at == nil {
		return content
	}
	list := strings.Replace(content[at[0]:at[1]], ", "+quote(name+"/tests"), "", 1)
	return content[:at[0]] + list + content[at[1]:]
}

// Files that list the services of Python. Those of Go are listed in a Makefile only.
const pyproject = "python/pyproject.toml"

func makefileOf(language string) string { return parent(language, 1) + "/Makefile" }

// editListings adds a service where those of its language are listed. notes tell which files stay as they are, and why.
func (w Workspace) editListings(language, name string, known []string) (c Changes, notes []string, err error) {
	makefile := makefileOf(language)
	switch change, err := w.edit(makefile, func(text string) string {
		after, listed := addTarget(text, name, known)
		if !listed {
			notes = append(notes, makefile+" has no list of services: it stays as it is")
		}
		return after
	}); {
	case errors.Is(err, fs.ErrNotExist):
		notes = append(notes, makefile+" isn't there: nothing lists "+name+" as a target")
	case err != nil:
		return nil, nil, err
	default:
		c = append(c, change...)
	}
	if language != images.Python {
		return c, notes, nil
	}
	change, err := w.edit(pyproject, func(text string) string {
		const stays = ": it stays as it is, and pytest doesn't look into "
		if broken := brokenTOML(pyproject, text); broken != nil {
			notes = append(notes, broken.Error()+stays+name+"/tests")
			return text
		}
		after, listed := addTestPath(text, name, known)
		if !listed {
			notes = append(notes, pyproject+" lists other tests than those of services"+stays+name+"/tests")
		}
		return after
	})
	if errors.Is(err, fs.ErrNotExist) { // pytest looks everywhere
		err = nil
	}
	return append(c, change...), notes, err
}

// removeListings undoes [Workspace.editListings].
func (w Workspace) removeListings(language, name string, known []string) (c Changes, err error) {
	for file, edit := range map[string]func(string) string{
		makefileOf(language): func(text string) string { return removeTarget(text, name, known) },
		pyproject:            func(text string) string { return removeTestPath(text, name) },
	} {
		change, err := w.edit(file, edit)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		c = append(c, change...)
	}
	return c, nil
}

// edit is the change of a file, if it is one.
func (w Workspace) edit(file string, edit func(string) string) (Changes, error) {
	before, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(file)))
	if err != nil {
		return nil, err
	}
	after := edit(string(before))
	if after == string(before) {
		return nil, nil
	}
	return Changes{{Path: file, Before: before, After: []byte(after)}}, nil
}

// brokenTOML is where a text stops to be TOML; nil where it is.
func brokenTOML(file, text string) *fault.Invalid {
	var any map[string]any
	_, err := toml.Decode(text, &any)
	var broken toml.ParseError
	if err == nil || !errors.As(err, &broken) {
		return nil
	}
	line := text[strings.LastIndexByte(text[:broken.Position.Start], '\n')+1 : broken.Position.Start]
	return &fault.Invalid{File: file, Line: broken.Position.Line, Column: len([]rune(line)) + 1, Problem: "this is no TOML: " + broken.Message}
}
