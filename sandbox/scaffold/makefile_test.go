package scaffold

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	known := []string{"sql-query", "sql-algorithm", "sql-aggregate"}
	for name, c := range map[string]struct{ text, want string }{
		"a list":        {"tag := main\ntargets := sql-query\n\nall: $(targets)\n", "tag := main\ntargets := sql-query new\n\nall: $(targets)\n"},
		"the best list": {"core := agent sql-query\nchain = sql-algorithm sql-aggregate # of Jobs\n", "core := agent sql-query\nchain = sql-algorithm sql-aggregate new # of Jobs\n"},
		"lines":         {"T := sql-query \\\n\tsql-algorithm \\\n\tother\nx = y\n", "T := sql-query \\\n\tsql-algorithm \\\n\tother new\nx = y\n"},
		"no final line": {"T=sql-query", "T=sql-query new"},
		"none":          {"sql-query:\n\tdocker build -t x sql-query\n", "sql-query:\n\tdocker build -t x sql-query\n"},
		"a comment":     {"# targets := sql-query\nT ?= sql-algorithm\n", "# targets := sql-query\nT ?= sql-algorithm new\n"},
	} {
		got, listed := addTarget(c.text, "new", known)
		if got != c.want || listed != (c.text != c.want) {
			t.Errorf("%s: got %v\n%s", name, listed, got)
		}
		if back := removeTarget(got, "new", known); back != c.text {
			t.Errorf("%s: after removing it\n%s", name, back)
		}
	}
}

// Of several lists that name a service, it goes out of the one that adding would have put it into.
func TestRemoveTarget(t *testing.T) {
	t.Parallel()
	known := []string{"sql-query", "sql-algorithm", "new"} // as the launch files have it while it is there
	for name, c := range map[string]struct{ text, want string }{
		"two lists":     {"slow := new other\ntargets := sql-query sql-algorithm new\n", "slow := new other\ntargets := sql-query sql-algorithm\n"},
		"only a lesser": {"slow := sql-query new\ntargets := sql-query sql-algorithm\n", "slow := sql-query\ntargets := sql-query sql-algorithm\n"},
		"none":          {"targets := sql-query\n", "targets := sql-query\n"},
	} {
		if got := removeTarget(c.text, "new", known); got != c.want {
			t.Errorf("%s: got\n%s", name, got)
		}
	}
}

func TestTestPaths(t *testing.T) {
	t.Parallel()
	known := []string{"sql-query"}
	for text, want := range map[string]string{
		"testpaths = [\"lib\", \"sql-query/tests\"]\n":        "testpaths = [\"lib\", \"sql-query/tests\", \"new/tests\"]\n",
		"testpaths = [\n  \"sql-query/tests\",\n  \"x\"\n]\n": "testpaths = [\n  \"sql-query/tests\", \"new/tests\",\n  \"x\"\n]\n",
		"testpaths = [\"lib\"]\n":                             "testpaths = [\"lib\"]\n",
		"other = [\"sql-query/tests\"]\n":                     "other = [\"sql-query/tests\"]\n",
	} {
		got, found := addTestPath(text, "new", known)
		if listed := got != text || !strings.HasPrefix(text, "testpaths"); got != want || found != listed {
			t.Errorf("got %q (%v), want %q", got, found, want)
		}
		if back := removeTestPath(got, "new"); back != text {
			t.Errorf("after removing it %q, want %q", back, text)
		}
	}
}

// A file that lists services and isn't there, or can't be read, isn't passed over without a word.
func TestListingsThatStay(t *testing.T) {
	t.Parallel()
	const tests = ": it stays as it is, and pytest doesn't look into new/tests"
	for name, c := range map[string]struct {
		file, text, lang string
		notes            []string
	}{
		"as it is":           {"python/README.md", "", "", nil},
		"no Makefile":        {"python/Makefile", "", "", []string{"python/Makefile isn't there: nothing lists new as a target"}},
		"no Makefile of Go":  {"go/Makefile", "", "go", []string{"go/Makefile isn't there: nothing lists new as a target"}},
		"no list":            {"python/Makefile", "all:\n", "", []string{"python/Makefile has no list of services: it stays as it is"}},
		"no pyproject":       {"python/pyproject.toml", "", "", nil},
		"a broken pyproject": {"python/pyproject.toml", "[tool.pytest.ini_options]\nname = \"é\" testpaths\n", "", []string{`python/pyproject.toml:2:11: this is no TOML: expected a top-level item to end with a newline, comment, or EOF, but got 't' instead` + tests}},
		"other tests":        {"python/pyproject.toml", "testpaths = [\"lib\"]\n", "", []string{"python/pyproject.toml lists other tests than those of services" + tests}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, "compact.txtar")
			if err := os.RemoveAll(filepath.Join(w.Dir, c.file)); err != nil {
				t.Fatal(err)
			}
			if c.text != "" {
				write(t, w, c.file, []byte(c.text))
			}
			before := snapshot(t, w.Dir)
			added, err := AddMicroservice(w, Microservice{Name: "new", Language: c.lang})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(added.Notes, c.notes) {
				t.Errorf("got  %q\nwant %q", added.Notes, c.notes)
			}
			if err := added.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			changes, err := RemoveMicroservice(w, "new", false)
			leads(t, w, changes, err, before)
		})
	}
}
