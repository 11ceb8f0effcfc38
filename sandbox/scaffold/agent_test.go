package scaffold

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// render reads what the charts amount to in the simplest way: who is told to be which steward.
func render(dir string) (Deployment, error) {
	rendered, err := cluster.RenderWorkspace(dir, nil)
	if err != nil {
		return Deployment{}, err
	}
	d := Deployment{Agents: map[string]string{}}
	for _, o := range rendered.Objects {
		switch o.GetKind() {
		case "Namespace":
			d.Namespaces = append(d.Namespaces, o.GetName())
		case "Deployment":
			if text, err := o.MarshalJSON(); err != nil {
				return d, err
			} else if _, name, ok := strings.Cut(string(text), `"DATA_STEWARD_NAME","value":"`); ok {
				name, _, _ = strings.Cut(name, `"`)
				d.Agents[name] = o.GetNamespace()
			}
		}
	}
	return d, nil
}

// withCharts is compact.txtar with the charts of an archive, and what else it has.
func withCharts(t *testing.T, archive string) Workspace {
	t.Helper()
	w := open(t, "compact.txtar")
	extract(t, w, archive)
	w.Render = render
	d, err := render(w.Dir)
	if err != nil {
		t.Fatal(err)
	}
	w.Agents = sortedKeys(d.Agents)
	return w
}

// tables end their lines as two of DYNAMOS's own do.
var tables = map[string]string{
	"python/sql-query/Persons_NORTH.csv": "Party;Id\r\r\nNORTH;1\r\r\nNORTH;2\r\r\n",
	"python/sql-query/Jobs_NORTH.csv":    "Id;Party\r1;NORTH\r2;NORTH\r",
}

var agentCases = map[string]struct {
	workspace string
	agent     Agent
}{
	"agent-values":    {"agents-values.txtar", Agent{Name: "East-2", Rows: new(2)}},
	"agent-templates": {"agents-templates.txtar", Agent{Name: "EAST", Like: "NORTH", Rows: new(1)}},
}

// The whole diff, which git takes, and the way back.
func TestAgentDiff(t *testing.T) {
	t.Parallel()
	for name, c := range agentCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, other := withCharts(t, c.workspace), withCharts(t, c.workspace)
			before := snapshot(t, w.Dir)
			added, err := AddAgent(w, c.agent)
			if err != nil {
				t.Fatal(err)
			}
			diff, err := added.Diff()
			if err != nil {
				t.Fatal(err)
			}
			same(t, w.Dir, before)
			golden(t, name+".diff", diff)

			git := exec.Command("git", "apply", "-")
			git.Dir = other.Dir
			git.Env = append(os.Environ(), "GIT_CEILING_DIRECTORIES="+filepath.Dir(other.Dir))
			git.Stdin = strings.NewReader(diff)
			if out, err := git.CombinedOutput(); err != nil {
				t.Fatalf("git apply: %v\n%s", err, out)
			}
			if err := added.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			same(t, w.Dir, snapshot(t, other.Dir))

			parsed, err := scenarios.ParseDir(os.DirFS(w.Dir), w.Scenarios)
			if err != nil || !slices.ContainsFunc(parsed, func(s *scenarios.Scenario) bool { return s.Name == added.Scenario }) {
				t.Errorf("its scenario: %v, %v", parsed, err)
			}
			w.Agents = append(w.Agents, c.agent.Name)
			if _, err := AddAgent(w, c.agent); fault.AsInvalids(err) == nil {
				t.Errorf("adding it twice: %v", err)
			}
			changes, err := RemoveAgent(w, c.agent.Name, false)
			leads(t, w, changes, err, before)
		})
	}
}

// Tables get their first rows, however their lines end, and cells with the name of the one get that of the other.
func TestAgentData(t *testing.T) {
	t.Parallel()
	w := withCharts(t, "agents-templates.txtar")
	for name, text := range tables {
		write(t, w, name, []byte(text))
	}
	for i, want := range []map[string]string{
		{"python/sql-query/Jobs_EAST.csv": "Id;Party\r1;EAST\r", "python/sql-query/Persons_EAST.csv": "Party;Id\r\r\nEAST;1\r\r\n"},
		{"python/sql-query/Jobs_EAST.csv": "Id;Party\r1;EAST\r2;EAST\r", "python/sql-query/Persons_EAST.csv": "Party;Id\r\r\nEAST;1\r\r\nEAST;2\r\r\n"},
	} {
		rows := i + 1
		added, err := AddAgent(w, Agent{Name: "EAST", Rows: new(rows)})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, c := range added.Changes {
			if strings.HasSuffix(c.Path, ".csv") {
				got[c.Path] = string(c.After)
			}
		}
		for file, text := range want {
			if got[file] != text {
				t.Errorf("%d rows: %s is %q, want %q", rows, file, got[file], text)
			}
		}
	}
	write(t, w, "python/sql-query/Jobs_EAST.csv", []byte("Id;Party\rmine;EAST\r"))
	own, err := AddAgent(w, Agent{Name: "EAST"})
	if err != nil || len(own.Notes) != 1 || slices.ContainsFunc(own.Changes, func(c Change) bool { return strings.Contains(c.Path, "Jobs_EAST") }) {
		t.Errorf("a table that is there already: %v, %v", own, err)
	}
	if err := os.Remove(filepath.Join(w.Dir, "python/sql-query/Jobs_EAST.csv")); err != nil {
		t.Fatal(err)
	}
	all, err := AddAgent(w, Agent{Name: "EAST", Rows: new(1000)})
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, w.Dir)
	if err := all.Apply(w.Dir); err != nil {
		t.Fatal(err)
	}
	write(t, w, "python/sql-query/Jobs_EAST.csv", []byte("Id;Party\rmine;EAST\r"))
	if _, err := RemoveAgent(w, "EAST", false); err == nil || !strings.HasSuffix(err.Error(), ": python/sql-query/Jobs_EAST.csv") {
		t.Errorf("removing data that was worked on: %v", err)
	}
	changes, err := RemoveAgent(w, "EAST", true)
	leads(t, w, changes, err, before)
}

// Where the other party has its data in a folder that is mounted, the new one has too; it is there only after an up.
func TestAgentVolume(t *testing.T) {
	t.Parallel()
	w := withCharts(t, "agents-templates.txtar")
	large := "Party;Id\n" + strings.Repeat("NORTH;1\n", 100_000)
	write(t, w, "datasets/NORTH/more/Persons_NORTH.csv", []byte(large))
	before := snapshot(t, w.Dir)
	added, err := AddAgent(w, Agent{Name: "EAST", Rows: new(20_000)})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(added.Changes, func(c Change) bool { return c.Path == "datasets/EAST/more/Persons_EAST.csv" })
	if want := "Party;Id\n" + strings.Repeat("EAST;1\n", 20_000); i < 0 || string(added.Changes[i].After) != want {
		t.Errorf("its table isn't what it should be; the changes are of %d files", len(added.Changes))
	}
	if added.Scenario != "" || len(added.Notes) != 1 || !strings.Contains(added.Notes[0], "dynsandbox replay east") {
		t.Errorf("scenario %q, notes %q", added.Scenario, added.Notes)
	}
	if err := added.Apply(w.Dir); err != nil {
		t.Fatal(err)
	}
	w.Agents = append(w.Agents, "EAST")
	changes, err := RemoveAgent(w, "EAST", false)
	leads(t, w, changes, err, before)

	write(t, w, "python/sql-query/Persons_NORTH.csv", []byte("Party;Id\nNORTH;1\n"))
	w.Agents = []string{"NORTH"}
	if added, err = AddAgent(w, Agent{Name: "EAST"}); err != nil || added.Scenario != "east" {
		t.Errorf("with data beside a service: scenario %q, %v", added.Scenario, err)
	}
}

// What a person wrote about an agent into the charts isn't dropped without a word.
func TestAgentChartsEdited(t *testing.T) {
	t.Parallel()
	const values, roles = "charts/agents/values.yaml", "charts/agents/templates/roles.yaml"
	for name, c := range map[string]struct {
		workspace, file, old, new string
		force                     bool
		says                      string // "": it is taken out
	}{
		"an element's inside":        {workspace: "agents-values.txtar", file: values, old: "STEWARD: EAST", new: "STEWARD: EAST\n      MORE: x", says: "would be lost: " + values},
		"with force":                 {workspace: "agents-values.txtar", file: values, old: "STEWARD: EAST", new: "STEWARD: EAST\n      MORE: x", force: true},
		"one of another list":        {workspace: "agents-values.txtar", file: values, old: "limits:", new: "asks: [EAST]\nlimits:", says: "would be lost: " + values},
		"one of a list of another's": {workspace: "agents-values.txtar", file: values, old: "env: {STEWARD: SOUTH}", new: "env: {STEWARD: SOUTH}\n    asks:\n    - EAST", says: "would be lost: " + values},
		"the order":                  {workspace: "agents-values.txtar", file: "charts/namespaces/values.yaml", old: `"south", east`, new: `east, "south"`},
		"a document":                 {workspace: "agents-templates.txtar", file: roles, old: "creator-east", new: "creator-east\n  labels: {a: b}", says: "would be lost: " + roles},
		"a document with force":      {workspace: "agents-templates.txtar", file: roles, old: "creator-east", new: "creator-east\n  labels: {a: b}", force: true},
		"one of several": {
			workspace: "agents-templates.txtar", file: roles, old: "# north is first", new: "---\nkind: Ingress\nspec: {rules: [north, east]}", force: true,
			says: roles + `:20:23: this document names "east" beside "NORTH", and can't go as a whole (take the name out of it first)`,
		},
		"an agent of other templates": {
			workspace: "agents-templates.txtar", file: "charts/agents/templates/routes.yaml", old: "# kind: Route",
			new:  "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {env: {name: DATA_STEWARD_NAME, value: {{ upper \"ea\" }}ST}}\n# kind: Route",
			says: "can't be taken out of the charts",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := withCharts(t, c.workspace)
			added, err := AddAgent(w, Agent{Name: "EAST"})
			if err != nil {
				t.Fatal(err)
			}
			if err := added.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(filepath.Join(w.Dir, c.file))
			if err != nil || !strings.Contains(string(text), c.old) {
				t.Fatalf("%s: %s, %v", c.file, text, err)
			}
			write(t, w, c.file, []byte(strings.Replace(string(text), c.old, c.new, 1)))
			before := snapshot(t, w.Dir)
			changes, err := RemoveAgent(w, "EAST", c.force)
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				same(t, w.Dir, before)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := changes.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			if d, err := render(w.Dir); err != nil || d.Agents["EAST"] != "" || slices.Contains(d.Namespaces, "east") || d.Agents["NORTH"] != "north" {
				t.Errorf("the charts amount to %v, %v", d, err)
			}
		})
	}
}

// Two that were made like the same one, whichever goes first.
func TestAgentsBesideEachOther(t *testing.T) {
	t.Parallel()
	for _, archive := range []string{"agents-values.txtar", "agents-templates.txtar"} {
		w := withCharts(t, archive)
		before := snapshot(t, w.Dir)
		for _, name := range []string{"EAST", "WEST"} {
			added, err := AddAgent(w, Agent{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			if err := added.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			w.Agents = append(w.Agents, name)
		}
		first, err := RemoveAgent(w, "EAST", false)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Apply(w.Dir); err != nil {
			t.Fatal(err)
		}
		w.Agents = w.Agents[:len(w.Agents)-2]
		w.Agents = append(w.Agents, "WEST")
		second, err := RemoveAgent(w, "WEST", false)
		leads(t, w, second, err, before)
	}
}

func TestAgentRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		agent Agent
		says  string
	}{
		{Agent{Name: "no_rth"}, `(for example "no-rth")`},
		{Agent{Name: "1st"}, "begin with a letter"},
		{Agent{Name: strings.Repeat("a", 64)}, "at most 63"},
		{Agent{Name: "North"}, `configuration/etcd_launch_files/agreements.json:3:13: there is an agreement of "NORTH" already`},
		{Agent{Name: "SOUTH"}, `the charts have an agent "SOUTH" already`},
		{Agent{Name: "core"}, `charts/namespaces/values.yaml:1:14: the charts have "core" already (choose another name)`},
		{Agent{Name: "kube-system"}, "a namespace of Kubernetes' own"},
		{Agent{Name: "Two-Means"}, `has a scenario "two-means" already`},
		{Agent{Name: "EAST", Like: "NORHT"}, `(did you mean "NORTH"?)`},
		{Agent{Name: "EAST", Rows: new(0)}, "--rows: 0 is no number"},
		{Agent{Name: "EAST", Rows: new(-1)}, "--rows: -1"},
	} {
		_, err := AddAgent(withCharts(t, "agents-values.txtar"), c.agent)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
		if choice := (*ChoiceError)(nil); fault.AsInvalids(err) == nil && !errors.As(err, &choice) {
			t.Errorf("%v is neither a fault of a file nor of what was asked for", err)
		}
	}
	planned := withCharts(t, "agents-values.txtar")
	write(t, planned, planned.LaunchFiles+"/"+agreementsFile, []byte(`[{"name": "EAST", "relations": {}}]`))
	if _, err := AddAgent(planned, Agent{Name: "EAST"}); err == nil || !strings.HasSuffix(err.Error(), `:1:11: there is an agreement of "EAST" already (take it out: the agent gets one with the terms of another)`) {
		t.Errorf("an agreement without an agent: %v", err)
	}
	for _, c := range []struct{ name, says string }{{"NORHT", `did you mean "NORTH"?`}, {"NORTH", "NORTH isn't as dynsandbox new writes it now"}} {
		if _, err := RemoveAgent(withCharts(t, "agents-values.txtar"), c.name, false); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("removing %s: %v", c.name, err)
		}
	}
}

// Charts that are written in a third way are left as they are.
func TestAgentOfOtherCharts(t *testing.T) {
	t.Parallel()
	for file, says := range map[string]string{
		"charts/agents/values.yaml":     "leads to an agent EAST",
		"charts/namespaces/values.yaml": `leads to a namespace "east"`,
	} {
		w := withCharts(t, "agents-values.txtar")
		text, err := os.ReadFile(filepath.Join(w.Dir, file))
		if err != nil {
			t.Fatal(err)
		}
		hidden := strings.NewReplacer("name: NORTH ", "name: \"NO\\x52TH\" ", "core, north,", "core, \"no\\x72th\",").Replace(string(text))
		write(t, w, file, []byte(hidden))
		if _, err := AddAgent(w, Agent{Name: "EAST"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", file, err, says)
		}
	}
}
