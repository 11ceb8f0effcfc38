package scaffold

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// other is the compute provider of an archetype that is a trusted third party.
const other = "other"

// Archetype is what is asked for. Only the name is indispensable.
type Archetype struct {
	Name            string
	ComputeProvider string   // dataProvider (the default) or other, a trusted third party
	Weight          *int     // nil: heavier than all others
	Providers       []string // whose agreements allow it; by default all that let somebody ask for something
}

// archetypeName is what a user's name and a scenario's can be made of: Kubernetes Jobs are named after the user.
var archetypeName = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9-]{0,38}[A-Za-z0-9])?$`)

// AddArchetype works out what a new archetype changes in a workspace. One user, who may use no other archetype, is added to
// the agreements with it, so that requests of others choose as they did. Errors are as of [AddMicroservice].
func AddArchetype(w Workspace, a Archetype) (Changes, error) {
	if a.ComputeProvider == "" {
		a.ComputeProvider = dataProvider
	}
	if places := []string{dataProvider, other}; !slices.Contains(places, a.ComputeProvider) {
		return nil, wrong(nearest.Hint(a.ComputeProvider, places), "--compute-provider: %q is none of %s", a.ComputeProvider, strings.Join(places, ", "))
	}
	if !archetypeName.MatchString(a.Name) {
		return nil, wrong("", "%q is no name for an archetype, which must be letters, digits and inner hyphens, at most 40", a.Name)
	}
	launch, err := w.readLaunchFiles()
	if err != nil {
		return nil, err
	}
	if err := w.checkArchetypeFree(a.Name, launch); err != nil {
		return nil, err
	}
	weight, err := launch.weight(a)
	if err != nil {
		return nil, err
	}
	providers, err := w.providers(launch.set, a)
	if err != nil {
		return nil, err
	}
	if err := launch.addArchetype(a, weight, providers); err != nil {
		return nil, err
	}
	set, err := launch.check(w, "")
	if err != nil {
		return nil, fmt.Errorf("with %s the launch files would have errors: %w", a.Name, err)
	}
	scenario, err := w.archetypeScenario(set, a.Name)
	if err != nil {
		return nil, err
	}
	return append(scenario, launch.changes()...).sorted(), nil
}

// weight is what an archetype is to weigh.
func (l *launchFiles) weight(a Archetype) (int, error) {
	if a.Weight == nil {
		weight := 100
		for _, have := range l.set.Archetypes {
			weight = max(weight, have.Weight+100)
		}
		return weight, nil
	}
	if *a.Weight < 1 {
		return 0, wrong("", "--weight: %d is no weight, which must be positive", *a.Weight)
	}
	return *a.Weight, nil
}

// RemoveArchetype works out what undoes [AddArchetype]; see [RemoveMicroservice].
func RemoveArchetype(w Workspace, name string, force bool) (Changes, error) {
	launch, err := w.readLaunchFiles()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range launch.set.Archetypes {
		names = append(names, a.Name)
	}
	if !slices.Contains(names, name) {
		return nil, wrong(nearest.Hint(name, names), "no archetype %q in %s", name, archetypesFile)
	}
	written, err := w.archetypeScenario(launch.set, name)
	if err != nil && !isChoice(err) {
		return nil, err
	}
	gone, err := w.removeFiles(name, []string{w.scenarioFile(name)}, written, nil, force)
	if err != nil {
		return nil, err
	}
	if len(gone) == 0 && !force { // the scenario tells that an archetype was made so
		return nil, &EditedError{Name: name, Files: []string{path.Join(w.LaunchFiles, archetypesFile)}}
	}
	if err := launch.removeArchetype(name); err != nil {
		return nil, err
	}
	if _, err := launch.check(w, ""); err != nil {
		return nil, fmt.Errorf("without %s the launch files would have errors: %w", name, err)
	}
	return append(gone, launch.changes()...).sorted(), nil
}

func (w Workspace) checkArchetypeFree(name string, launch *launchFiles) error {
	for _, item := range launch.archetypes.root.items {
		if at := item.get("name"); at != nil && strings.EqualFold(at.text, name) {
			return launch.archetypes.invalid(at, "", "there is an archetype %q already", at.text)
		}
	}
	if err := launch.checkUserFree(userOf(name)); err != nil {
		return err
	}
	return w.checkScenarioFree(name)
}

// userOf is who uses an archetype, or has a third party compute, and no other.
func userOf(name string) string { return strings.ToLower(name) + "@example.org" }

// checkUserFree refuses a user that an agreement has.
func (l *launchFiles) checkUserFree(user string) error {
	for _, item := range l.agreements.root.items {
		if relations := item.get("relations"); relations.index(user) >= 0 {
			return l.agreements.invalid(relations.mention(user), "", "there is a user %q already", user)
		}
	}
	return nil
}

// addUser adds a relation that is like another user's, but for some fields.
func (l *launchFiles) addUser(relations *value, user, like string, fields []field) error {
	f := l.agreements
	model := relations.members[relations.index(like)]
	between := string(f.data[model.key.end:model.value.start])
	return f.insert(relations, len(relations.members), quote(user)+between+f.like(model.value, fields))
}

// removeUser takes a user out of all agreements.
func (l *launchFiles) removeUser(user string) error {
	f := l.agreements
	for i := range f.root.items {
		if relations := f.root.items[i].get("relations"); relations.index(user) >= 0 {
			if err := f.remove(relations, relations.index(user)); err != nil {
				return err
			}
		}
	}
	return nil
}

// providers are the names of the agreements that get an archetype.
func (w Workspace) providers(set *fixtures.Set, a Archetype) ([]string, error) {
	var can []string
	for _, agreement := range set.Agreements {
		there := w.Agents == nil || slices.Contains(w.Agents, agreement.Name)
		if _, ok := relationLike(agreement, a.ComputeProvider); ok && there {
			can = append(can, agreement.Name)
		}
	}
	for _, name := range a.Providers {
		if !slices.Contains(can, name) {
			return nil, wrong(nearest.Hint(name, can), "--provider: no agreement of %q lets anybody send a request that could use it", name)
		}
	}
	switch {
	case len(can) == 0:
		return nil, wrong("", "no agreement lets anybody send a request that could use it, so no scenario could run it")
	case len(a.Providers) > 0:
		return unique(a.Providers), nil
	}
	return can, nil
}

// relationLike returns the user of an agreement whose relation shows what one with the archetype can be like.
func relationLike(a fixtures.Agreement, computeProvider string) (user string, ok bool) {
	for _, user := range sortedKeys(a.Relations) {
		r := a.Relations[user]
		if len(r.RequestTypes) > 0 && (computeProvider != other || len(r.AllowedComputeProviders) > 0) {
			return user, true
		}
	}
	return "", false
}

func (l *launchFiles) addArchetype(a Archetype, weight int, providers []string) error {
	f := l.archetypes
	var model *value
	if items := f.root.items; len(items) > 0 {
		model = items[len(items)-1]
	}
	element := f.like(model, []field{
		{"name", a.Name}, {"computeProvider", a.ComputeProvider}, {"resultRecipient", "requestor"}, {"weight", weight},
	})
	if err := f.insert(f.root, len(f.root.items), element); err != nil {
		return err
	}
	f = l.agreements
	for _, provider := range providers {
		_, i := f.root.named("name", provider)
		agreed, err := l.member(f, f.root.items[i], "archetypes", "[]")
		if err != nil {
			return err
		}
		if err := f.insert(agreed, len(agreed.items), quote(a.Name)); err != nil {
			return err
		}
		user, _ := relationLike(l.agreement(provider), a.ComputeProvider)
		fields := []field{{"ID", a.Name}, {"allowedArchetypes", []string{a.Name}}}
		if err := l.addUser(f.root.items[i].get("relations"), userOf(a.Name), user, fields); err != nil {
			return err
		}
	}
	return nil
}

func (l *launchFiles) agreement(name string) fixtures.Agreement {
	return l.set.Agreements[slices.IndexFunc(l.set.Agreements, func(a fixtures.Agreement) bool { return a.Name == name })]
}

func (l *launchFiles) removeArchetype(name string) error {
	if _, i := l.archetypes.root.named("name", name); i >= 0 {
		if err := l.archetypes.remove(l.archetypes.root, i); err != nil {
			return err
		}
	}
	if err := l.removeUser(userOf(name)); err != nil {
		return err
	}
	for _, f := range []*jsonText{l.agreements, l.services} {
		for v := f.find(f.root, ofArchetypes, name); v != nil; v = f.find(f.root, ofArchetypes, name) {
			if err := f.remove(v, v.index(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// archetypeScenario makes the file with a request of the archetype's own user. Where the data go shows in how many answers
// come back: one of each data provider, or one over all.
func (w Workspace) archetypeScenario(set *fixtures.Set, name string) (Changes, error) {
	i := slices.IndexFunc(set.Archetypes, func(a fixtures.Archetype) bool { return a.Name == name })
	third := set.Archetypes[i].ComputeProvider == other
	var who requester
	for _, a := range set.Agreements {
		r, ok := a.Relations[userOf(name)]
		if !ok || w.Agents != nil && !slices.Contains(w.Agents, a.Name) || len(r.RequestTypes) == 0 {
			continue
		}
		if who.Provider == "" {
			who = requester{ID: r.ID, User: userOf(name), RequestType: r.RequestTypes[0], Query: query(set, r.DataSets), Provider: a.Name}
		} else if who.Second == "" {
			who.Second = a.Name
		}
	}
	if who.Provider == "" {
		return nil, wrong("", "no agreement lets %s ask, so no scenario could run it", userOf(name))
	}
	who.Name, who.About, who.Count = name, "a request that can use no other archetype than "+name, 1
	if kind := slices.IndexFunc(set.RequestTypes, func(r fixtures.RequestType) bool { return r.Name == who.RequestType }); third {
		who.Second, who.Option = joined(set, kind, who.Second)
	}
	if who.Second != "" && !third {
		who.Count = 2
	}
	return w.fillScenario(who)
}

// aggregator is the service that puts the rows of several data providers together.
const aggregator = "sql-aggregate"

// joined returns the second data provider and the option with which a third party computes on the rows of both, or neither
// where no service of the request type puts them together.
func joined(set *fixtures.Set, kind int, second string) (provider, option string) {
	if kind >= 0 && second != "" {
		if option := set.RequestTypes[kind].OptionalServices[aggregator]; option != "" {
			return second, option
		}
	}
	return "", ""
}
