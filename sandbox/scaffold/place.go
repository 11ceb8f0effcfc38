package scaffold

import (
	"cmp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// Labels say which role runs a service.
const (
	dataProvider    = "dataProvider"
	computeProvider = "computeProvider"
)

// place is where a service comes into a chain.
type place struct {
	requestType string
	label       string
	after       []string // services that get it as an output
	before      []string // its own outputs
}

// findPlace completes what was asked for. With only one side given, the other one is such that the service comes in
// directly there: it has the outputs of those before it, or is an output of all that lead to those after it.
func findPlace(set *fixtures.Set, m Microservice) (place, error) {
	services := map[string]fixtures.Microservice{}
	for _, s := range set.Microservices {
		services[s.Name] = s
	}
	for flag, given := range map[string][]string{"--after": m.After, "--before": m.Before} {
		for _, name := range given {
			if _, known := services[name]; !known {
				return place{}, wrong(nearest.Hint(name, names(set)), "%s: no service %q in %s", flag, name, microservicesFile)
			}
		}
	}
	kind, err := findRequestType(set, m)
	if err != nil {
		return place{}, err
	}
	p := place{requestType: kind.Name, label: m.Label, after: unique(m.After), before: unique(m.Before)}
	if p.label == "" {
		p.label = dataProvider
		if beside := slices.Concat(p.after, p.before); len(beside) > 0 && services[beside[0]].Label != "" {
			p.label = services[beside[0]].Label
		}
	}
	if !slices.Contains([]string{dataProvider, computeProvider}, p.label) {
		return place{}, wrong(nearest.Hint(p.label, []string{dataProvider, computeProvider}), "--label: %q is no role (%s, %s)", p.label, dataProvider, computeProvider)
	}
	required := kind.RequiredServices
	switch {
	case len(p.after)+len(p.before) > 0 || len(required) == 0:
	case p.label == computeProvider:
		p.before = required[len(required)-1:]
	default:
		p.after = required[:1]
	}
	switch {
	case len(p.before) == 0:
		for _, name := range p.after {
			p.before = append(p.before, services[name].AllowedOutputs...)
		}
		p.before = unique(p.before)
	case len(p.after) == 0:
		for _, s := range set.Microservices {
			if slices.ContainsFunc(s.AllowedOutputs, func(out string) bool { return slices.Contains(p.before, out) }) {
				p.after = append(p.after, s.Name)
			}
		}
	}
	return p, nil
}

// findRequestType returns the request type that was named, else the first with one of the services that were, rather one
// that somebody may send.
func findRequestType(set *fixtures.Set, m Microservice) (fixtures.RequestType, error) {
	var names []string
	for _, r := range set.RequestTypes {
		if r.Name == m.RequestType {
			return r, nil
		}
		names = append(names, r.Name)
	}
	switch {
	case m.RequestType != "":
		return fixtures.RequestType{}, wrong(nearest.Hint(m.RequestType, names), "--request-type: %q is not in %s", m.RequestType, requestTypesFile)
	case len(names) == 0:
		return fixtures.RequestType{}, wrong("", "%s has no request type that could use a service", requestTypesFile)
	}
	named := slices.Concat(m.After, m.Before)
	fits := func(r fixtures.RequestType) int {
		uses := len(named) == 0 && len(r.RequiredServices) > 0 || slices.ContainsFunc(named, func(s string) bool {
			_, optional := r.OptionalServices[s]
			return optional || slices.Contains(r.RequiredServices, s)
		})
		switch {
		case uses && mayBeSent(set, r.Name):
			return 2
		case uses:
			return 1
		}
		return 0
	}
	return slices.MaxFunc(set.RequestTypes, func(a, b fixtures.RequestType) int { return cmp.Compare(fits(a), fits(b)) }), nil
}

// mayBeSent reports whether an agreement lets anybody send a request type.
func mayBeSent(set *fixtures.Set, requestType string) bool {
	for _, a := range set.Agreements {
		for _, r := range a.Relations {
			if slices.Contains(r.RequestTypes, requestType) {
				return true
			}
		}
	}
	return false
}

// required is where in a list of required services the service stands: its order counts where outputs don't decide.
func (p place) required(list *value) int {
	at := -1
	for _, name := range p.after {
		at = max(at, list.index(name)+1)
	}
	if at > 0 {
		return at
	}
	for _, name := range p.before {
		if i := list.index(name); i >= 0 {
			return i
		}
	}
	return len(list.items)
}

// passes reports whether messages can go from one service to another, directly or not.
func passes(set *fixtures.Set, from, to string) bool {
	seen := map[string]bool{}
	var visit func(name string) bool
	visit = func(name string) bool {
		if name == to {
			return true
		}
		if seen[name] {
			return false
		}
		seen[name] = true
		return slices.ContainsFunc(set.Microservices, func(s fixtures.Microservice) bool {
			return s.Name == name && slices.ContainsFunc(s.AllowedOutputs, visit)
		})
	}
	return visit(from)
}

func unique(names []string) []string {
	var out []string
	for _, n := range names {
		if n = strings.TrimSpace(n); !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
