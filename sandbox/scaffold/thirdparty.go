package scaffold

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// ThirdParty is what is asked for: a party that has no data and computes on those of others. Only the name is indispensable.
type ThirdParty struct {
	Name      string
	Like      string   // the third party that it is made like; by default the first that has an agent
	Providers []string // whose agreements let it compute; by default all that let somebody have a third party compute
}

// AddThirdParty works out what a new third party changes in a workspace: an agent beside those of the charts, and its name among
// the compute providers of agreements. One user, who may have no other compute, is added to these, so that requests of others
// choose as they did; and a scenario with a request of theirs. Errors are as of [AddMicroservice].
func AddThirdParty(w Workspace, p ThirdParty) (Changes, error) {
	if !archetypeName.MatchString(p.Name) {
		return nil, wrongAgentName(p.Name, 40) // the user is named after it, and Kubernetes Jobs after the user
	}
	launch, charts, err := w.readForAgent(p.Name)
	if err != nil {
		return nil, err
	}
	if err := launch.checkUserFree(userOf(p.Name)); err != nil {
		return nil, err
	}
	like, err := w.thirdPartyLike(launch.set, p)
	if err != nil {
		return nil, err
	}
	providers, err := w.providersThrough(launch.set, p)
	if err != nil {
		return nil, err
	}
	if err := launch.addThirdParty(p.Name, providers); err != nil {
		return nil, err
	}
	edited := charts.add(party{p.Name}, party{like})
	if err := w.checkDeployed(p.Name, like, edited); err != nil {
		return nil, err
	}
	with := w.withAgent(p.Name)
	set, err := launch.check(with, "")
	if err != nil {
		return nil, fmt.Errorf("with %s the launch files would have errors: %w", p.Name, err)
	}
	scenario, err := with.thirdPartyScenario(set, p.Name)
	if err != nil {
		return nil, err
	}
	return slices.Concat(edited, launch.changes(), scenario).sorted(), nil
}

// removeThirdParty works out what undoes [AddThirdParty].
func (w Workspace) removeThirdParty(name string, launch *launchFiles, force bool) (Changes, error) {
	charts, err := w.readCharts()
	if err != nil {
		return nil, err
	}
	third := thirdParties(launch.set)
	written, err := w.thirdPartyScenario(launch.set, name)
	if err != nil && !isChoice(err) {
		return nil, err
	}
	for _, like := range third {
		if like != name {
			written = slices.Concat(written, charts.add(party{name}, party{like}))
		}
	}
	gone, err := w.removeFromCharts(name, unique(slices.Concat(third, w.Agents)), charts, written, nil, force)
	if err != nil {
		return nil, err
	}
	if err := launch.removeThirdParty(name); err != nil {
		return nil, err
	}
	if _, err := launch.check(w.withoutAgent(name), ""); err != nil {
		return nil, fmt.Errorf("without %s the launch files would have errors: %w", name, err)
	}
	return slices.Concat(gone, launch.changes()).sorted(), nil
}

// thirdParties are those that agreements name as compute providers.
func thirdParties(set *fixtures.Set) []string {
	var names []string
	for _, a := range set.Agreements {
		names = append(names, a.ComputeProviders...)
	}
	return unique(names)
}

// thirdPartyLike finds the third party that the new one is made like.
func (w Workspace) thirdPartyLike(set *fixtures.Set, p ThirdParty) (string, error) {
	var can []string
	for _, name := range thirdParties(set) {
		if w.Agents == nil || slices.Contains(w.Agents, name) {
			can = append(can, name)
		}
	}
	if len(can) == 0 {
		return "", wrong("", "no agreement names a compute provider that has an agent in the charts, so there is none that a new one could be like")
	}
	like := cmp.Or(p.Like, can[0])
	if !slices.Contains(can, like) {
		return "", wrong(nearest.Hint(like, can), "--like: the charts have no agent %q that an agreement names as a compute provider", like)
	}
	return like, spelledLike(p.Name, like)
}

// through is who may have a third party compute for them, and by which archetypes.
func through(set *fixtures.Set, a fixtures.Agreement) (user string, archetypes []string) {
	for _, user := range sortedKeys(a.Relations) {
		r := a.Relations[user]
		var by []string
		for _, one := range set.Archetypes {
			if one.ComputeProvider == other && slices.Contains(a.Archetypes, one.Name) && slices.Contains(r.AllowedArchetypes, one.Name) {
				by = append(by, one.Name)
			}
		}
		if len(by) > 0 && answered(set, r) != "" {
			return user, by
		}
	}
	return "", nil
}

// providersThrough are the names of the agreements that let a third party compute.
func (w Workspace) providersThrough(set *fixtures.Set, p ThirdParty) ([]string, error) {
	var can []string
	for _, agreement := range set.Agreements {
		there := w.Agents == nil || slices.Contains(w.Agents, agreement.Name)
		if user, _ := through(set, agreement); user != "" && there {
			can = append(can, agreement.Name)
		}
	}
	for _, name := range p.Providers {
		if !slices.Contains(can, name) {
			return nil, wrong(nearest.Hint(name, can), "--provider: no agreement of %q lets anybody have a third party compute", name)
		}
	}
	switch {
	case len(can) == 0:
		return nil, wrong("", "no agreement lets anybody have a third party compute, so no scenario could ask it")
	case len(p.Providers) > 0:
		return unique(p.Providers), nil
	}
	return can, nil
}

func (l *launchFiles) addThirdParty(name string, providers []string) error {
	f := l.agreements
	for _, provider := range providers {
		_, i := f.root.named("name", provider)
		agreed, err := l.member(f, f.root.items[i], "computeProviders", "[]")
		if err != nil {
			return err
		}
		if err := f.insert(agreed, len(agreed.items), quote(name)); err != nil {
			return err
		}
		user, archetypes := through(l.set, l.agreement(provider))
		fields := []field{{"ID", name}, {"allowedArchetypes", archetypes}, {"allowedComputeProviders", []string{name}}}
		if err := l.addUser(f.root.items[i].get("relations"), userOf(name), user, fields); err != nil {
			return err
		}
	}
	return nil
}

func (l *launchFiles) removeThirdParty(name string) error {
	if err := l.removeUser(userOf(name)); err != nil {
		return err
	}
	f := l.agreements
	for v := f.find(f.root, ofComputeProviders, name); v != nil; v = f.find(f.root, ofComputeProviders, name) {
		if err := f.remove(v, v.index(name)); err != nil {
			return err
		}
	}
	return nil
}

// thirdPartyScenario makes the file with a request of the third party's own user. It asks two providers where a service puts
// their rows together.
func (w Workspace) thirdPartyScenario(set *fixtures.Set, name string) (Changes, error) {
	var who requester
	for _, a := range set.Agreements {
		r, ok := a.Relations[userOf(name)]
		if kind := answered(set, r); ok && kind != "" && (w.Agents == nil || slices.Contains(w.Agents, a.Name)) {
			if who.Provider == "" {
				who = requester{ID: r.ID, User: userOf(name), RequestType: kind, Query: query(set, r.DataSets), Provider: a.Name}
			} else if who.Second == "" {
				who.Second = a.Name
			}
		}
	}
	if who.Provider == "" {
		return nil, wrong("", "no agreement in %s lets %s ask, so no scenario could ask %s", path.Join(w.LaunchFiles, agreementsFile), userOf(name), name)
	}
	who.Name, who.About, who.Count = strings.ToLower(name), "a request for which nobody else than "+name+" may compute", 1
	kind := slices.IndexFunc(set.RequestTypes, func(r fixtures.RequestType) bool { return r.Name == who.RequestType })
	who.Second, who.Option = joined(set, kind, who.Second)
	return w.fillScenario(who)
}
