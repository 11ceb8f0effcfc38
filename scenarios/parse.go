package scenarios

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// ParseFile reads the scenario in one file of fsys. What is wrong in it is [fault.Invalids].
func ParseFile(fsys fs.FS, name string) (*Scenario, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read scenario: %w", err)
	}
	return Parse(name, data)
}

// Parse reads one scenario from its text. file is how problems and failures name it. The error is [fault.Invalids].
func Parse(file string, data []byte) (*Scenario, error) {
	root, err := parseTree(file, data)
	if err != nil {
		return nil, fault.AsInvalids(err)
	}
	d := &decoder{}
	// Another version may have any fields: say only that it is another one.
	version := root.get("version")
	switch {
	case version == nil:
		return nil, fault.Invalids{root.problem("write version: 1", "field \"version\" is missing")}
	case version.kind != aNumber || version.number != Version:
		return nil, fault.Invalids{version.problem("", "unknown version: this dynsandbox reads version %d", Version)}
	}

	s := &Scenario{File: file, Timeout: DefaultTimeout, Expect: Expect{Status: 200, Count: -1, place: root}}
	d.fields(root, "a scenario", []string{"name", "request"}, map[string]func(*node){
		"version":     func(*node) {},
		"name":        d.text(&s.Name),
		"description": d.text(&s.Description),
		"timeout":     d.duration(&s.Timeout),
		"request":     func(n *node) { d.request(n, s) },
		"expect":      func(n *node) { d.expect(n, &s.Expect) },
	})
	if d.problems != nil {
		slices.SortStableFunc(d.problems, func(a, b fault.Invalid) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		return nil, d.problems
	}
	return s, nil
}

// decoder collects problems, in the order in which it comes upon them.
type decoder struct{ problems fault.Invalids }

func (d *decoder) fail(n *node, suggestion, format string, args ...any) {
	d.problems = append(d.problems, n.problem(suggestion, format, args...))
}

// is reports whether n is of a kind, and a problem when it is not.
func (d *decoder) is(n *node, want kind, what string) bool {
	if n.kind != want {
		d.fail(n, "", "%s must be %s, not %s", what, want, n.kind)
	}
	return n.kind == want
}

// fields hands each field of a mapping to its function, and refuses those without one.
func (d *decoder) fields(n *node, what string, required []string, known map[string]func(*node)) {
	if !d.is(n, aMapping, what) {
		return
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, m := range n.members {
		read, ok := known[m.key.text]
		if !ok {
			hint := nearest.Hint(m.key.text, names)
			if hint == "" {
				hint = "known are " + strings.Join(names, ", ")
			}
			d.fail(m.key, hint, "unknown field %q in %s", m.key.text, what)
			continue
		}
		read(m.value)
	}
	for _, name := range required {
		if n.get(name) == nil {
			d.fail(n, "", "field %q is missing in %s", name, what)
		}
	}
}

func (d *decoder) text(into *string) func(*node) {
	return func(n *node) {
		if d.is(n, aString, "the field") {
			*into = n.text
			if n.text == "" {
				d.fail(n, "", "the field is empty")
			}
		}
	}
}

func (d *decoder) duration(into *time.Duration) func(*node) {
	return func(n *node) {
		if !d.is(n, aString, "a duration") {
			return
		}
		v, err := time.ParseDuration(n.text)
		if err != nil || v <= 0 {
			d.fail(n, "for example 90s", "%q is no duration", n.text)
			return
		}
		*into = v
	}
}

// natural reads a whole number of at least zero.
func (d *decoder) natural(into *int) func(*node) {
	return func(n *node) {
		if n.kind != aNumber || !n.integer || n.number < 0 {
			d.fail(n, "", "the field must be a whole number, not negative")
			return
		}
		*into = int(n.number)
	}
}

// request checks what every DYNAMOS gateway needs and leaves the rest alone: forks send more.
func (d *decoder) request(n *node, s *Scenario) {
	if !d.is(n, aMapping, "request") {
		return
	}
	known := []string{"type", "user", "dataProviders", "data_request"}
	for _, m := range n.members {
		if slices.Contains(known, m.key.text) {
			continue
		}
		if hint := nearest.Hint(m.key.text, known); hint != "" {
			d.fail(m.key, hint, "unknown field %q in request", m.key.text)
		}
	}
	for _, name := range known {
		if n.get(name) == nil {
			d.fail(n, "", "field %q is missing in request", name)
		}
	}
	if v := n.get("type"); v != nil {
		d.is(v, aString, "type")
	}
	if v := n.get("user"); v != nil && d.is(v, aMapping, "user") {
		for _, name := range []string{"id", "userName"} {
			if u := v.get(name); u == nil {
				d.fail(v, "", "field %q is missing in user", name)
			} else if u.kind != aString {
				d.fail(u, "put it in quotes", "%s must be a string, not %s", name, u.kind)
			}
		}
	}
	if v := n.get("dataProviders"); v != nil && d.is(v, aList, "dataProviders") {
		for _, item := range v.items {
			d.is(item, aString, "a data provider")
		}
	}
	if v := n.get("data_request"); v != nil {
		d.is(v, aMapping, "data_request")
	}
	body, err := json.Marshal(n.plain())
	if err != nil {
		d.fail(n, "", "request is no JSON: %v", errors.Unwrap(err))
	}
	s.Request.Body = body
}
