package scaffold

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// Agent is what is asked for: a party with data of its own. Only the name is indispensable.
type Agent struct {
	Name string
	Like string // the party that it is made like; by default the first that somebody may ask for something
	Rows *int   // how many of that party's rows it begins with, of each table; nil: DefaultRows
}

// DefaultRows is how many rows a party begins with, unless another number is asked for.
const DefaultRows = 100

// Deployment is what a workspace's charts amount to, as far as agents are concerned.
type Deployment struct {
	Agents     map[string]string // their namespaces, by name
	Namespaces []string          // those that the charts make
	Kept       []string          // those of them that stay in a cluster when the charts make them no more
}

// agentName is what can name an agreement, and in lower case a namespace and a Service.
var agentName = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// AddAgent works out what a new party changes in a workspace: an agent beside those of the charts, an agreement with the
// terms of the party that it is made like, some rows of that one's tables, and a scenario that asks it alone. Errors are as
// of [AddMicroservice].
func AddAgent(w Workspace, a Agent) (*Added, error) {
	if !agentName.MatchString(a.Name) {
		return nil, wrongAgentName(a.Name, 63)
	}
	rows := DefaultRows
	if a.Rows != nil {
		rows = *a.Rows
	}
	if rows < 1 {
		return nil, wrong("", "--rows: %d is no number of rows, of which there must be at least one", rows)
	}
	launch, charts, err := w.readForAgent(a.Name)
	if err != nil {
		return nil, err
	}
	model, err := w.agentLike(launch.set, a)
	if err != nil {
		return nil, err
	}
	if err := launch.addAgent(a.Name, model.Name); err != nil {
		return nil, err
	}
	edited := charts.add(party{a.Name}, party{model.Name})
	if err := w.checkDeployed(a.Name, model.Name, edited); err != nil {
		return nil, err
	}
	with := w.withAgent(a.Name)
	set, err := launch.check(with, "")
	if err != nil {
		return nil, fmt.Errorf("with %s the launch files would have errors: %w", a.Name, err)
	}
	data, err := w.agentData(a.Name, model.Name, func(string) int { return rows })
	if err != nil {
		return nil, err
	}
	added := &Added{Scenario: strings.ToLower(a.Name)}
	for i, c := range data {
		if have, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(c.Path))); err == nil {
			data[i] = Change{Path: c.Path, Before: have, After: have}
			added.Notes = append(added.Notes, c.Path+" is there already: it stays as it is")
		}
	}
	scenario, err := with.agentScenario(set, a.Name, data)
	if err != nil {
		return nil, err
	}
	fresh := slices.DeleteFunc(slices.Clone(data), func(c Change) bool { return c.Before != nil })
	added.Changes = slices.Concat(edited, launch.changes(), fresh, scenario).sorted()
	if slices.ContainsFunc(fresh, func(c Change) bool { return inVolume(c.Path) }) {
		added.Notes = append(added.Notes, fmt.Sprintf("services have %s/%s only after dynsandbox up; then: dynsandbox replay %s", volumes, a.Name, added.Scenario))
		added.Scenario = ""
	}
	if len(data) == 0 {
		added.Notes = append(added.Notes, fmt.Sprintf("no service has files %s for %s: %s has no data yet", dataFile("TABLE", model.Name), model.Name, a.Name))
	}
	return added, nil
}

var notAgentName = regexp.MustCompile(`[^A-Za-z0-9]+`)

func wrongAgentName(name string, longest int) error {
	hint := strings.Trim(notAgentName.ReplaceAllString(name, "-"), "-0123456789")
	if hint != "" {
		hint = fmt.Sprintf("for example %q", hint[:min(len(hint), longest)])
	}
	return wrong(hint, "%q is no name for an agent, which must be letters, digits and inner hyphens, at most %d, and begin with a letter", name, longest)
}

// RemoveAgent works out what undoes [AddAgent] and [AddThirdParty]; see [RemoveMicroservice]. What the charts say of it counts as its files do.
func RemoveAgent(w Workspace, name string, force bool) (Changes, error) {
	launch, err := w.readLaunchFiles()
	if err != nil {
		return nil, err
	}
	var parties []string
	for _, a := range launch.set.Agreements {
		parties = append(parties, a.Name)
	}
	if third := thirdParties(launch.set); !slices.Contains(parties, name) {
		if slices.Contains(third, name) {
			return w.removeThirdParty(name, launch, force)
		}
		return nil, wrong(nearest.Hint(name, unique(slices.Concat(parties, third))), "no agreement of an agent %q in %s, and none with it as a compute provider", name, agreementsFile)
	}
	charts, err := w.readCharts()
	if err != nil {
		return nil, err
	}
	files, err := w.dataFiles(name)
	if err != nil {
		return nil, err
	}
	written, err := w.agentFiles(name, parties, launch.set, charts)
	if err != nil {
		return nil, err
	}
	gone, err := w.removeFromCharts(name, unique(slices.Concat(parties, w.Agents)), charts, written, files, force)
	if err != nil {
		return nil, err
	}
	if err := launch.removeAgent(name); err != nil {
		return nil, err
	}
	if _, err := launch.check(w.withoutAgent(name), ""); err != nil {
		return nil, fmt.Errorf("without %s the launch files would have errors: %w", name, err)
	}
	return slices.Concat(gone, launch.changes()).sorted(), nil
}

// removeFromCharts takes an agent out of the charts, and removes its scenario and further files. Those that aren't as written are
// an [EditedError] unless force is set.
func (w Workspace) removeFromCharts(name string, all []string, charts *charts, written Changes, files []string, force bool) (Changes, error) {
	var others []party
	for _, other := range all {
		if other != name {
			others = append(others, party{other})
		}
	}
	changed, edited, err := charts.remove(party{name}, others)
	if err != nil {
		return nil, err
	}
	for _, c := range changed {
		if c.After == nil {
			files = append(files, c.Path)
		}
	}
	gone, err := w.removeFiles(name, append(files, w.scenarioFile(strings.ToLower(name))), written, edited, force)
	if err != nil {
		return nil, err
	}
	if err := w.checkGone(name, changed); err != nil {
		return nil, err
	}
	changed = slices.DeleteFunc(changed, func(c Change) bool { return c.After == nil })
	if len(gone) == 0 && !force { // without any file nothing tells that it was made so
		return nil, &EditedError{Name: name, Files: []string{path.Join(w.LaunchFiles, agreementsFile)}}
	}
	return slices.Concat(gone, changed), nil
}

// agentFiles are the files of an agent as [AddAgent] writes them, whichever party it was made like.
func (w Workspace) agentFiles(name string, parties []string, set *fixtures.Set, charts *charts) (Changes, error) {
	var written Changes
	for _, like := range parties {
		if like == name {
			continue
		}
		data, err := w.agentData(name, like, w.rowsOf)
		if err != nil {
			return nil, err
		}
		scenario, err := w.agentScenario(set, name, data)
		if err != nil && !isChoice(err) {
			return nil, err
		}
		written = slices.Concat(written, data, charts.add(party{name}, party{like}), scenario)
	}
	return written, nil
}

func (w Workspace) withAgent(name string) Workspace {
	if w.Agents != nil {
		w.Agents = append(slices.Clone(w.Agents), name)
	}
	return w
}

func (w Workspace) withoutAgent(name string) Workspace {
	w.Agents = slices.DeleteFunc(slices.Clone(w.Agents), func(a string) bool { return a == name })
	return w
}

// readForAgent reads what a new agent goes into, and refuses a name that isn't free.
func (w Workspace) readForAgent(name string) (launch *launchFiles, charts *charts, err error) {
	if launch, err = w.readLaunchFiles(); err != nil {
		return nil, nil, err
	}
	if charts, err = w.readCharts(); err != nil {
		return nil, nil, err
	}
	return launch, charts, w.checkAgentFree(name, launch, charts)
}

// checkAgentFree refuses a name that something in the workspace has. As a word of the charts it would be taken for the
// agent's when that is removed.
func (w Workspace) checkAgentFree(name string, launch *launchFiles, charts *charts) error {
	for _, item := range launch.agreements.root.items {
		if at := item.get("name"); at != nil && strings.EqualFold(at.text, name) {
			hint := ""
			if w.Agents != nil && !slices.Contains(w.Agents, at.text) { // one for later
				hint = "take it out: the agent gets one with the terms of another"
			}
			return launch.agreements.invalid(at, hint, "there is an agreement of %q already", at.text)
		}
		if providers := item.get("computeProviders"); providers != nil {
			for _, at := range providers.items {
				if strings.EqualFold(at.text, name) {
					return launch.agreements.invalid(at, "", "there is a compute provider %q already", at.text)
				}
			}
		}
	}
	for _, have := range w.Agents {
		if strings.EqualFold(have, name) {
			return wrong("", "the charts have an agent %q already", have)
		}
	}
	if at := charts.mention(party{name}); at != nil {
		return *at
	}
	if lower := strings.ToLower(name); strings.HasPrefix(lower, "kube-") || lower == "default" {
		return wrong("", "%q is a namespace of Kubernetes' own", lower)
	}
	return w.checkScenarioFree(strings.ToLower(name))
}

// agentLike finds the agreement that the new one is made like.
func (w Workspace) agentLike(set *fixtures.Set, a Agent) (fixtures.Agreement, error) {
	var can []string
	var agreements []fixtures.Agreement
	for _, agreement := range set.Agreements {
		there := w.Agents == nil || slices.Contains(w.Agents, agreement.Name)
		if _, ok := asked(set, agreement); ok && there {
			can = append(can, agreement.Name)
			agreements = append(agreements, agreement)
		}
	}
	at := slices.Index(can, cmp.Or(a.Like, slices.Concat(can, []string{""})[0]))
	switch {
	case len(can) == 0:
		return fixtures.Agreement{}, wrong("", "no agreement of an agent in the charts lets anybody ask for something, so there is none that a new one could be like")
	case at < 0:
		return fixtures.Agreement{}, wrong(nearest.Hint(a.Like, can), "--like: the charts have no agent %q with an agreement that lets anybody ask for something", a.Like)
	}
	return agreements[at], spelledLike(a.Name, agreements[at].Name)
}

// spelledLike refuses capitals beside a party that has none: nothing in the charts tells then which spelling is meant.
func spelledLike(name, like string) error {
	if lower := strings.ToLower(name); like == strings.ToLower(like) && name != lower {
		return wrong(fmt.Sprintf("for example %q", lower), "%q must be in lower case, like %q", name, like)
	}
	return nil
}

// asked is somebody who may ask a party for something that a chain answers.
func asked(set *fixtures.Set, a fixtures.Agreement) (requester, bool) {
	for _, user := range sortedKeys(a.Relations) {
		r := a.Relations[user]
		archetype := slices.ContainsFunc(r.AllowedArchetypes, func(n string) bool { return slices.Contains(a.Archetypes, n) })
		if kind := answered(set, r); archetype && kind != "" {
			return requester{ID: cmp.Or(r.ID, "1"), User: user, Provider: a.Name, RequestType: kind, Query: query(set, r.DataSets)}, true
		}
	}
	return requester{}, false
}

// answered is the first request type of a relation that a chain answers.
func answered(set *fixtures.Set, r fixtures.Relation) string {
	for _, kind := range set.RequestTypes {
		if len(kind.RequiredServices) > 0 && slices.Contains(r.RequestTypes, kind.Name) {
			return kind.Name
		}
	}
	return ""
}

func (l *launchFiles) addAgent(name, like string) error {
	for f, key := range map[*jsonText]string{l.agreements: "name", l.offered: "data_steward"} {
		for i := range f.root.items { // those that are added come behind them
			item := f.root.items[i]
			if at := item.get(key); at == nil || at.text != like {
				continue
			}
			if err := f.insert(f.root, len(f.root.items), f.like(item, []field{{key, name}})); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *launchFiles) removeAgent(name string) error {
	for f, key := range map[*jsonText]string{l.agreements: "name", l.offered: "data_steward"} {
		for _, i := f.root.named(key, name); i >= 0; _, i = f.root.named(key, name) {
			if err := f.remove(f.root, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// agentScenario makes the file with a request to the agent alone. That it answers from its own data shows in a cell with its
// name, where there is one.
func (w Workspace) agentScenario(set *fixtures.Set, name string, data Changes) (Changes, error) {
	i := slices.IndexFunc(set.Agreements, func(a fixtures.Agreement) bool { return a.Name == name })
	if i < 0 {
		return nil, errors.New("the agreement isn't there")
	}
	who, ok := asked(set, set.Agreements[i])
	if !ok {
		return nil, wrong("", "no relation of %s lets anybody ask for something, so no scenario could ask it", name)
	}
	who.Name, who.About, who.Count = strings.ToLower(name), "one request that "+name+" alone answers", 1
	kind := set.RequestTypes[slices.IndexFunc(set.RequestTypes, func(r fixtures.RequestType) bool { return r.Name == who.RequestType })]
	if slices.Contains(kind.RequiredServices, reader) && slices.Contains(kind.RequiredServices, answer) {
		for _, c := range data {
			column, table := columnWith(c.After, name), strings.TrimSuffix(path.Base(c.Path), dataFile("", name))
			if sqlName.MatchString(column) && strings.Contains(who.Query, " "+table+" ") {
				// Nothing but this column: of others it isn't known whether they may be read.
				who.Query = fmt.Sprintf("SELECT %s FROM %s LIMIT 10", column, table)
				who.Column, who.Value, who.Why = column, name, "Only its own rows have its name."
				break
			}
		}
	}
	return w.fillScenario(who)
}

// sqlName is a column's name that needs no quotes.
var sqlName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkDeployed has the charts rendered as they would be, and refuses them where the agent isn't there.
func (w Workspace) checkDeployed(name, like string, edited Changes) error {
	if w.Render == nil {
		return nil
	}
	now, err := w.rendered(edited)
	if err != nil {
		return fmt.Errorf("with %s the charts would have errors: %w", name, err)
	}
	namespace, ok := now.Agents[name]
	switch {
	case !ok:
		return wrong("", "the charts can't be extended: nothing in values or templates that names %s leads to an agent %s", like, name)
	case namespace != strings.ToLower(name) || !slices.Contains(now.Namespaces, namespace):
		return wrong("", "the charts can't be extended: nothing in values or templates that names %s leads to a namespace %q for %s", like, strings.ToLower(name), name)
	}
	return nil
}

// checkGone has the charts rendered as they would be, and refuses them where the agent is still there.
func (w Workspace) checkGone(name string, changed Changes) error {
	if w.Render == nil {
		return nil
	}
	now, err := w.rendered(changed)
	if err != nil {
		return fmt.Errorf("without %s the charts would have errors: %w", name, err)
	}
	if _, there := now.Agents[name]; there {
		return wrong("", "%s can't be taken out of the charts: the values or templates make its agent in another way than new agent writes", name)
	}
	return nil
}
