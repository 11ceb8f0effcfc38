package scaffold

import (
	"cmp"
	"slices"
	"strings"
)

// add registers a service at its place.
func (l *launchFiles) add(m Microservice, p place) error {
	if err := l.addService(m, p); err != nil {
		return err
	}
	kind, _ := l.requestTypes.root.named("name", p.requestType)
	if m.Option == "" {
		required, err := l.member(l.requestTypes, kind, "requiredServices", "[]")
		if err != nil {
			return err
		}
		return l.requestTypes.insert(required, p.required(required), quote(m.Name))
	}
	optional, err := l.member(l.requestTypes, kind, "optionalServices", "{}")
	if err != nil {
		return err
	}
	if err := l.requestTypes.insert(optional, len(optional.members), quote(m.Name)+": "+quote(m.Option)); err != nil {
		return err
	}
	return l.offer(m.Name, p.requestType)
}

// addService adds the service's own element, and its name to the outputs of those before it.
func (l *launchFiles) addService(m Microservice, p place) error {
	f := l.services
	at := 0
	for _, name := range p.after {
		_, i := f.root.named("name", name)
		outputs, err := l.member(f, f.root.items[i], "allowedOutputs", "[]")
		if err != nil {
			return err
		}
		if err := f.insert(outputs, len(outputs.items), quote(m.Name)); err != nil {
			return err
		}
		at = max(at, i+1)
	}
	if len(p.after) == 0 {
		at = len(f.root.items)
	}
	return f.insert(f.root, at, l.element(m, p))
}

// element is the service's element of microservices.json, written like the one that says most.
func (l *launchFiles) element(m Microservice, p place) string {
	var model *value
	if items := l.services.root.items; len(items) > 0 {
		model = slices.MaxFunc(items, func(a, b *value) int {
			outputs := func(v *value) int { return len(v.get("allowedOutputs").entriesOrNone()) }
			return cmp.Or(cmp.Compare(outputs(a), outputs(b)), cmp.Compare(len(a.members), len(b.members)))
		})
	}
	return l.services.like(model, []field{
		{"name", m.Name}, {"label", p.label}, {"allowedOutputs", p.before}, {"invalidArchetypes", nil},
	})
}

func (v *value) entriesOrNone() []span {
	if v == nil {
		return nil
	}
	return v.entries()
}

// offer lists an optional service at every steward that offers some for its request type.
func (l *launchFiles) offer(name, requestType string) error {
	f := l.offered
	for i := range f.root.items {
		services := f.root.items[i].get("types").get(requestType)
		if services != nil && services.kind == '[' {
			if err := f.insert(services, len(services.items), quote(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// remove takes a service out of all the files.
func (l *launchFiles) remove(name string) error {
	if _, i := l.services.root.named("name", name); i >= 0 {
		if err := l.services.remove(l.services.root, i); err != nil {
			return err
		}
	}
	for _, f := range []*jsonText{l.services, l.requestTypes, l.offered} {
		for v := f.find(f.root, ofServices, name); v != nil; v = f.find(f.root, ofServices, name) {
			if err := f.remove(v, v.index(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Members that name services, archetypes, and third parties.
var (
	ofServices         = []string{"allowedOutputs", "requiredServices", "optionalServices"}
	ofArchetypes       = []string{"archetypes", "allowedArchetypes", "invalidArchetypes"}
	ofComputeProviders = []string{"computeProviders", "allowedComputeProviders"}
)

// find returns a list below v, in one of the members, that has a name, or an object that has it as a key. As with
// [value.get], the case of the members' keys doesn't matter.
func (f *jsonText) find(v *value, members []string, name string) *value {
	for _, item := range v.items {
		if found := f.find(item, members, name); found != nil {
			return found
		}
	}
	for _, m := range v.members {
		if found := f.find(m.value, members, name); found != nil {
			return found
		}
		if slices.ContainsFunc(members, func(key string) bool { return strings.EqualFold(key, m.key.text) }) && m.value.index(name) >= 0 {
			return m.value
		}
		if strings.EqualFold(m.key.text, "types") && slices.Equal(members, ofServices) {
			for _, t := range m.value.members {
				if t.value.index(name) >= 0 {
					return t.value
				}
			}
		}
	}
	return nil
}
