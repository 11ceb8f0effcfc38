package scaffold

import (
	"strings"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// The whole diff, and the way back.
func TestThirdPartyDiff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		workspace string
		party     ThirdParty
	}{
		"thirdparty-values":    {"thirdparty-values.txtar", ThirdParty{Name: "East-2"}},
		"thirdparty-templates": {"thirdparty-templates.txtar", ThirdParty{Name: "EAST", Like: "TTP", Providers: []string{"SOUTH"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := withCharts(t, c.workspace)
			before := snapshot(t, w.Dir)
			changes, err := AddThirdParty(w, c.party)
			if err != nil {
				t.Fatal(err)
			}
			diff, err := changes.Diff()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".diff", diff)
			if err := changes.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			if d, err := render(w.Dir); err != nil || d.Agents[c.party.Name] != strings.ToLower(c.party.Name) {
				t.Errorf("the charts amount to %v, %v", d, err)
			}
			w.Agents = append(w.Agents, c.party.Name)
			if _, err := AddThirdParty(w, c.party); fault.AsInvalids(err) == nil {
				t.Errorf("adding it twice: %v", err)
			}
			changes, err = RemoveAgent(w, c.party.Name, false)
			leads(t, w, changes, err, before)
		})
	}
}

// What users were allowed by hand since goes too; a scenario that was worked on is kept.
func TestThirdPartyRemoved(t *testing.T) {
	t.Parallel()
	w := withCharts(t, "thirdparty-values.txtar")
	before := snapshot(t, w.Dir)
	changes, err := AddThirdParty(w, ThirdParty{Name: "EAST"})
	if err != nil {
		t.Fatal(err)
	}
	if err := changes.Apply(w.Dir); err != nil {
		t.Fatal(err)
	}
	w.Agents = append(w.Agents, "EAST")
	agreements, scenario := w.LaunchFiles+"/"+agreementsFile, w.scenarioFile("east")
	added := snapshot(t, w.Dir)
	text := func(file string) string {
		_, content, _ := strings.Cut(added[file], "\n")
		return content
	}
	write(t, w, agreements, []byte(strings.Replace(text(agreements), `"allowedComputeProviders": ["TTP"]`, `"allowedComputeProviders": ["TTP", "EAST"]`, 1)))
	write(t, w, scenario, []byte(text(scenario)+"# mine\n"))
	if _, err := RemoveAgent(w, "EAST", false); err == nil || !strings.HasSuffix(err.Error(), "would be lost: "+scenario) {
		t.Errorf("with its scenario worked on: %v", err)
	}
	write(t, w, scenario, []byte(text(scenario)))
	changes, err = RemoveAgent(w, "EAST", false)
	leads(t, w, changes, err, before)
	w.Agents = w.Agents[:len(w.Agents)-1]
	if _, err := RemoveAgent(w, "TTP", false); err == nil || !strings.Contains(err.Error(), "TTP isn't as dynsandbox new writes it now") {
		t.Errorf("one that a person made: %v", err)
	}
}

func TestThirdPartyRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		party ThirdParty
		says  string
	}{
		{ThirdParty{Name: "no_rth"}, `(for example "no-rth")`},
		{ThirdParty{Name: strings.Repeat("a", 41)}, "at most 40"},
		{ThirdParty{Name: "Ttp"}, `agreements.json:14:26: there is a compute provider "TTP" already`},
		{ThirdParty{Name: "ann.lee"}, "is no name for an agent"},
		{ThirdParty{Name: "NOBODY"}, `there is a compute provider "NOBODY" already`},
		{ThirdParty{Name: "EAST", Like: "NORTH"}, `--like: the charts have no agent "NORTH" that an agreement names as a compute provider`},
		{ThirdParty{Name: "EAST", Like: "NOBODY"}, "--like"},
		{ThirdParty{Name: "EAST", Like: "TPT"}, `(did you mean "TTP"?)`},
		{ThirdParty{Name: "EAST", Providers: []string{"NORTH", "WEST"}}, `--provider: no agreement of "WEST" lets anybody have a third party compute`},
	} {
		if _, err := AddThirdParty(withCharts(t, "thirdparty-values.txtar"), c.party); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
	for archive, says := range map[string]string{
		"agents-values.txtar":     "no agreement names a compute provider that has an agent in the charts",
		"thirdparty-values.txtar": `agreements.json:5:7: there is a user "east@example.org" already`,
	} {
		w := withCharts(t, archive)
		file := w.LaunchFiles + "/" + agreementsFile
		_, text, _ := strings.Cut(snapshot(t, w.Dir)[file], "\n")
		write(t, w, file, []byte(strings.Replace(text, "abe.poe", "east", 1)))
		if _, err := AddThirdParty(w, ThirdParty{Name: "EAST"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", archive, err, says)
		}
	}
}
