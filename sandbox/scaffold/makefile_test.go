package scaffold

import "testing"

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
		got := addTestPath(text, "new", known)
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if back := removeTestPath(got, "new"); back != text {
			t.Errorf("after removing it %q, want %q", back, text)
		}
	}
}
