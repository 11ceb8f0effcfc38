package scaffold

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// Change is what becomes of one file of a workspace.
type Change struct {
	Path   string // relative to the workspace, with slashes
	Before []byte // nil: there is no such file
	After  []byte // nil: there is none any more
}

// Kind is "created", "changed" or "removed".
func (c Change) Kind() string {
	switch {
	case c.Before == nil:
		return "created"
	case c.After == nil:
		return "removed"
	}
	return "changed"
}

// Changes are those that belong together.
type Changes []Change

// sorted is by path.
func (cs Changes) sorted() Changes {
	slices.SortFunc(cs, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	return cs
}

// Diff is a unified diff, which patch -p1 and git apply take.
func (cs Changes) Diff() (string, error) {
	var b strings.Builder
	for _, c := range cs {
		from, to := "a/"+c.Path, "b/"+c.Path
		if c.Before == nil {
			from = "/dev/null"
		}
		if c.After == nil {
			to = "/dev/null"
		}
		if bytes.IndexByte(c.Before, 0) >= 0 || bytes.IndexByte(c.After, 0) >= 0 {
			fmt.Fprintf(&b, "Binary files %s and %s differ\n", from, to)
			continue
		}
		err := difflib.WriteUnifiedDiff(&b, difflib.UnifiedDiff{A: lines(c.Before), B: lines(c.After), FromFile: from, ToFile: to, Context: 3})
		if err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// lines splits a text as a diff shows it.
func lines(text []byte) []string {
	if len(text) == 0 {
		return nil
	}
	split := strings.SplitAfter(string(text), "\n")
	if last := len(split) - 1; split[last] == "" {
		split = split[:last]
	} else {
		split[last] += "\n\\ No newline at end of file\n"
	}
	return split
}
