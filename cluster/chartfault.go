package cluster

import (
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

var (
	// templatePlace is how text/template, and Helm after it, says where: agents/templates/uva.yaml:12:24.
	templatePlace = regexp.MustCompile(`([\w.-]+/(?:templates|charts|crds)/[^\s:()"]+):(\d+)(?::(\d+))?`)
	// yamlLine is how YAML parsers say where.
	yamlLine = regexp.MustCompile(`\bline (\d+)`)
	// chartFile is how Helm's loader names a file that it can't read.
	chartFile = regexp.MustCompile(`cannot load (Chart\.yaml|values\.yaml|Chart\.lock|requirements\.yaml)`)
)

// invalidChart makes a problem with a place out of Helm's error about the chart in charts/folder.
func invalidChart(err error, folder, chartName string) error {
	text := err.Error()
	in := fault.Invalid{File: path.Join("charts", folder), Problem: oneLine(text)}
	place := text
	if _, opened, ok := strings.Cut(text, " started at "); ok {
		place = opened // of something that isn't closed, the beginning says more than the file's end
	}
	if m := templatePlace.FindStringSubmatch(place); m != nil {
		in.File = inWorkspace(m[1], folder, chartName)
		in.Line, in.Column = atoi(m[2]), atoi(m[3])
		in.Problem, _, _ = strings.Cut(problem(text, m[0]), " started at ")
		return in
	}
	if m := chartFile.FindStringSubmatch(text); m != nil {
		in.File = path.Join("charts", folder, m[1])
		if l := yamlLine.FindStringSubmatch(text); l != nil {
			in.Line = atoi(l[1])
		}
	}
	return in
}

// problem is Helm's text without the place, which is said already: for an error that came up through several
// templates, the innermost message, which Helm prints last.
func problem(text, place string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	p := strings.TrimSpace(lines[len(lines)-1])
	if len(lines) > 1 {
		for _, l := range lines {
			if l = strings.TrimSpace(l); strings.HasPrefix(l, "executing ") {
				p = strings.TrimSuffix(l[strings.Index(l, " at ")+1:], ":") + ": " + p
				break
			}
		}
	}
	for _, prefix := range []string{"parse error at (", "execution error at ("} {
		if strings.HasPrefix(p, prefix) {
			_, p, _ = strings.Cut(p, "): ")
		}
	}
	return strings.TrimPrefix(p, place+": ")
}

// inWorkspace turns Helm's name of a file, which begins with the chart's name, into the file's path in the workspace.
func inWorkspace(name, folder, chartName string) string {
	if rest, ok := strings.CutPrefix(name, chartName+"/"); ok && chartName != "" {
		return path.Join("charts", folder, rest)
	}
	return path.Join("charts", folder, name)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func atoi(s string) int {
	n, _ := strconv.Atoi(s) // the callers match digits
	return n
}
