package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// upstreamVariable names the folder of a checkout of the original DYNAMOS.
const upstreamVariable = "DYNSANDBOX_UPSTREAM"

// TestMixed exchanges single parts of the reference platform for the original's, and the other way round: requests must be
// answered as by the reference platform alone, but for the original's known faults. It needs a checkout of the original,
// and prints a table.
func TestMixed(t *testing.T) {
	dir := os.Getenv(upstreamVariable)
	if dir == "" {
		t.Skipf("no checkout of the original: %s isn't set (make mixed UPSTREAM=DIR)", upstreamVariable)
	}
	platform, upstream := readTree(t, filepath.Join(root, "platform")), readTree(t, dir)
	programs := compileUpstream(t, dir)
	// What changes together must come together: nothing is to be reloaded while files are exchanged.
	var s upSummary
	if err := upInto(t.Context(), &s, "--no-scenario", "--no-watch"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := dynsandbox(context.Background(), "down", "--purge"); err != nil {
			t.Error(err)
		}
		if err := copyPlatform(); err != nil {
			t.Error(err)
		}
		if err := upInto(context.Background(), &s); err != nil {
			t.Error(err)
		}
	})

	var table []string
	for _, m := range mixes(platform, upstream, programs) {
		t.Run(strings.NewReplacer(" ", "-", ",", "").Replace(m.name), func(t *testing.T) {
			row := m.name
			defer func() { table = append(table, "| "+row+" |") }()
			if m.fresh {
				must(t, "down", "--purge")
			}
			began := time.Now()
			if err := bringUpTree(t.Context(), m.tree); err != nil {
				row += " | " + strings.TrimSpace(err.Error())
				t.Fatal(err)
			}
			row += fmt.Sprintf(" | %.0f s", time.Since(began).Seconds())
			for _, q := range questions {
				row += " | " + m.ask(t, q)
			}
		})
	}
	var head, rule string
	for _, q := range questions {
		head, rule = head+" | "+q.name, rule+"|---"
	}
	t.Logf("\n| from the original | up%s |\n|---|---%s|\n%s", head, rule, strings.Join(table, "\n"))
}

// A mix is a workspace, and what of the original shows in its answers.
type mix struct {
	name   string
	tree   tree
	races  bool              // agents and sidecars both are the original's: a message may be sent before its queue is there
	fresh  bool              // in a new sandbox: what Kubernetes lets nobody change differs
	faults map[string]fault  // by question
	data   map[string]string // a party to that whose tables it has
}

// A fault is one of the original's own.
type fault struct {
	name  string
	shows func(t *testing.T, m mix, a answer) bool
}

// ask puts a question, and returns what came of it for the table.
func (m mix) ask(t *testing.T, q question) string {
	a, took := put(t, q)
	wrong, before := q.wrong(t, m, a), ""
	if m.races && slices.Contains(a.Responses, "") {
		before = "a message was lost, and its sidecar hung; after new Pods "
		m.replacePods(t)
		a, took = put(t, q)
		wrong = q.wrong(t, m, a)
	}
	known, expected := m.faults[q.name]
	switch {
	case wrong == "" && expected:
		t.Errorf("%s: the original's fault (%s) doesn't show any more", q.name, known.name)
	case wrong == "":
		return before + took
	case expected && known.shows(t, m, a):
		return fmt.Sprintf("%s%s: %s", before, took, known.name)
	}
	t.Errorf("%s: %s (after %s)", q.name, wrong, took)
	return fmt.Sprintf("%s%s: **%s**", before, took, strings.Join(strings.Fields(wrong), " "))
}

func put(t *testing.T, q question) (a answer, took string) {
	t.Helper()
	began := time.Now()
	status, body := postQuery(t, "mixed", q.query, q.algorithm, q.providers, q.options)
	took = fmt.Sprintf("%.1f s", time.Since(began).Seconds())
	a = answer{status: status, body: strings.Join(strings.Fields(string(body)), " ")}
	t.Logf("%s, after %s: %d %s", q.name, took, status, a.body)
	if status != http.StatusOK || json.Unmarshal(body, &a) != nil {
		a.Responses = nil // body says it
	}
	return a, took
}

// replacePods gives every agent a new Pod, and ends all chains.
func (m mix) replacePods(t *testing.T) {
	t.Helper()
	for _, party := range []string{"uva", "vu", "surf"} {
		kubectl(t, "", "delete", "jobs,pods", "--all", "--namespace", party, "--grace-period=1")
	}
	if err := bringUpTree(t.Context(), m.tree); err != nil {
		t.Fatal(err)
	}
}

type answer struct {
	status    int
	body      string
	Responses []string
}

type question struct {
	name      string
	query     string
	algorithm string
	providers []string
	options   map[string]bool
	wrong     func(t *testing.T, m mix, a answer) string // "": nothing is
}

const birthQuery = "SELECT Unieknr, Gebdat FROM Personen ORDER BY Unieknr LIMIT 3"

// birthDate is how the tables have the sensitive column.
var birthDate = regexp.MustCompile(`\b(19|20)\d{6}\b`)

var questions = []question{
	{"computeToData", joinQuery, "average", []string{"UVA"}, map[string]bool{"aggregate": false}, means([]string{"UVA"})},
	{"of two", joinQuery, "average", []string{"UVA", "VU"}, map[string]bool{"aggregate": false}, means([]string{"UVA"}, []string{"VU"})},
	{"dataThroughTtp", joinQuery, "average", []string{"UVA", "VU"}, map[string]bool{"aggregate": true}, means([]string{"UVA", "VU"})},
	{"anonymised", birthQuery, "", []string{"UVA"}, map[string]bool{"anonymize": true}, years},
	{"sensitive", birthQuery, "", []string{"UVA"}, nil, kept},
}

// means wants one response for each list of parties: the averages over their rows, a party's as often as it is named.
func means(responses ...[]string) func(*testing.T, mix, answer) string {
	return func(t *testing.T, m mix, a answer) string {
		if len(a.Responses) != len(responses) {
			return fmt.Sprintf("%d: %s", a.status, a.body)
		}
		left := slices.Clone(a.Responses)
		for _, parties := range responses {
			want := newSalaries()
			for _, party := range parties {
				want.joined(t, cmp.Or(m.data[party], party))
			}
			i := slices.IndexFunc(left, func(text string) bool {
				got := map[string]string{}
				return json.Unmarshal([]byte(text), &got) == nil && want.differs(got) == ""
			})
			if i < 0 {
				return fmt.Sprintf("no answer over %v among %q", parties, a.Responses)
			}
			left = slices.Delete(left, i, i+1)
		}
		return ""
	}
}

// years wants a table with only the years of the sensitive column.
func years(_ *testing.T, _ mix, a answer) string {
	var rows [][]string
	if len(a.Responses) != 1 || json.Unmarshal([]byte(a.Responses[0]), &rows) != nil || len(rows) != 4 {
		return fmt.Sprintf("%d: %s", a.status, a.body)
	}
	column := slices.Index(rows[0], "Gebdat")
	for _, row := range rows[1:] {
		if column < 0 || len(row[column]) != len("1962") {
			return fmt.Sprintf("no table of years: %s", a.Responses[0])
		}
	}
	return ""
}

// kept wants no sensitive value; how the refusal is told is each platform's own matter.
func kept(_ *testing.T, _ mix, a answer) string {
	if found := birthDate.FindString(a.body); found != "" {
		return fmt.Sprintf("a sensitive value is answered: %s", found)
	}
	if a.status == http.StatusOK && strings.Join(a.Responses, "") != "" {
		return fmt.Sprintf("%d: %s", a.status, a.body)
	}
	return ""
}

var (
	countsTwice = fault{"the first provider's rows count twice", func(t *testing.T, m mix, a answer) bool {
		return means([]string{"UVA", "UVA", "VU"})(t, m, a) == "" || means([]string{"UVA", "VU", "VU"})(t, m, a) == ""
	}}
	losesErrors = fault{"a refusal is an empty table", func(_ *testing.T, _ mix, a answer) bool {
		return a.status == http.StatusOK && slices.Equal(a.Responses, []string{"[[]]"})
	}}
	givesAll = fault{"nobody asks what is sensitive", func(_ *testing.T, _ mix, a answer) bool { return birthDate.MatchString(a.body) }}
)

// mixes are the workspaces to try, in the order in which the least has to be built anew.
func mixes(platform, upstream tree, programs map[string][]byte) []mix {
	out := []mix{{name: "nothing", tree: platform}}
	for _, name := range []string{"sql-algorithm", "sql-anonymize", "sql-aggregate", "policy-enforcer", "api-gateway", "orchestrator", "agent", "sidecar"} {
		m := mix{name: name, tree: platform.withProgram(name, programs[name]), faults: map[string]fault{}}
		if name == "sql-aggregate" {
			m.faults["dataThroughTtp"] = countsTwice
		}
		out = append(out, m)
	}

	const python, service, library = "python", "python/sql-query", "python/dynamos-python-lib"
	data := platform.below(service).only(isData)
	code := platform.without(service).with(upstream.below(service).only(isCode)).with(data)
	out = append(out,
		mix{name: "sql-query", tree: code, faults: map[string]fault{"sensitive": givesAll}},
		mix{name: "sql-query, library", tree: code.without(library).with(upstream.below(library)).with(upstream.below(python + "/Dockerfile")),
			faults: map[string]fault{"sensitive": givesAll}},
		mix{name: "library", tree: platform.without(library).with(platform.onlyOurs(upstream, library)).with(upstream.below(library))},
	)

	// Its launch files name services and users of its own.
	const launch = "configuration/etcd_launch_files"
	whole := upstream.without(launch).with(platform.below(launch))
	rest := map[string]fault{"dataThroughTtp": countsTwice, "sensitive": losesErrors}
	butPython := whole.without(python).with(platform.below(python))
	return append(out,
		mix{name: "everything", fresh: true, races: true, tree: whole.without(service).with(upstream.below(service).only(isCode)).with(data),
			faults: map[string]fault{"dataThroughTtp": countsTwice, "sensitive": givesAll}},
		mix{name: "all but sql-query, library", races: true, tree: butPython, faults: rest},
		// Each has the other's tables in its folder.
		mix{name: "all but these, data in a folder", races: true, data: map[string]string{"UVA": "VU", "VU": "UVA"}, faults: rest,
			tree: butPython.with(tree{
				"datasets/UVA/Personen_UVA.csv":      data[service+"/Personen_VU.csv"],
				"datasets/UVA/Aanstellingen_UVA.csv": data[service+"/Aanstellingen_VU.csv"],
				"datasets/VU/Personen_VU.csv":        data[service+"/Personen_UVA.csv"],
				"datasets/VU/Aanstellingen_VU.csv":   data[service+"/Aanstellingen_UVA.csv"],
			})},
	)
}

func isData(name string) bool { return path.Ext(name) == ".csv" }
func isCode(name string) bool { return !isData(name) }

// compileUpstream compiles the original's Go services, each as one static program.
func compileUpstream(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out+"/",
		"./cmd/agent", "./cmd/api-gateway", "./cmd/orchestrator", "./cmd/policy-enforcer", "./cmd/sidecar", "./cmd/sql-aggregate", "./cmd/sql-algorithm", "./cmd/sql-anonymize")
	cmd.Dir = filepath.Join(dir, "go")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // images are of nothing else
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile the original: %v\n%s", err, said)
	}
	programs := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if programs[e.Name()], err = os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return programs
}
