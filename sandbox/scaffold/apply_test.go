package scaffold

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each set of changes fails at its last step, after others were made.
func TestAllOrNothing(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]Change{
		"a folder that can't be made":  {Path: "zfile/new", After: []byte("x")},
		"a file that is another now":   {Path: "zfile", Before: []byte("old\n"), After: []byte("x")},
		"a file that is there already": {Path: "zfile", After: []byte("x")},
		"a file that is gone":          {Path: "gone", Before: []byte("x")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := Workspace{Dir: t.TempDir()}
			write(t, w, "zfile", []byte("as it is\n"))
			write(t, w, "changed", []byte("before\n"))
			write(t, w, "dir/removed", []byte("before\n"))
			before := snapshot(t, w.Dir)
			changes := Changes{
				{Path: "a/b/created", After: []byte("new\n")},
				{Path: "changed", Before: []byte("before\n"), After: []byte("after\n")},
				{Path: "dir/removed", Before: []byte("before\n")},
				last,
			}
			if err := changes.Apply(w.Dir); err == nil {
				t.Error("it didn't fail")
			}
			same(t, w.Dir, before)
		})
	}
}

// What was made before a step fails is taken back, whichever step that is.
func TestUndo(t *testing.T) {
	t.Parallel()
	changes := Changes{
		{Path: "a/b/created", After: []byte("new\n")},
		{Path: "changed", Before: []byte("before\n"), After: []byte("after\n")},
		{Path: "dir/removed", Before: []byte("before\n")},
	}
	for done := range len(changes) + 1 {
		w := Workspace{Dir: t.TempDir()}
		write(t, w, "changed", []byte("before\n"))
		write(t, w, "dir/removed", []byte("before\n"))
		before := snapshot(t, w.Dir)
		stage := t.TempDir()
		tr := transaction{root: w.Dir, stage: stage}
		for i, c := range changes[:done] {
			if err := tr.prepare(i, c); err != nil {
				t.Fatal(err)
			}
			if err := tr.make(i, c); err != nil {
				t.Fatal(err)
			}
		}
		if err := tr.undo(); err != nil {
			t.Error(err)
		}
		same(t, w.Dir, before)
	}
}

// A link and a mode outlive an edit.
func TestApplyKeepsLinksAndModes(t *testing.T) {
	t.Parallel()
	w := Workspace{Dir: t.TempDir()}
	write(t, w, "real", []byte("before\n"))
	if err := os.Chmod(filepath.Join(w.Dir, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(w.Dir, "link")); err != nil {
		t.Fatal(err)
	}
	want := snapshot(t, w.Dir)
	if err := (Changes{{Path: "link", Before: []byte("before\n"), After: []byte("after\n")}}).Apply(w.Dir); err != nil {
		t.Fatal(err)
	}
	want["real"] = strings.Replace(want["real"], "before", "after", 1)
	same(t, w.Dir, want)
}

// With the last file of a folder goes an environment that was made by us; one of a person's stays.
func TestEnvironments(t *testing.T) {
	t.Parallel()
	for record, want := range map[string]struct{ note, left string }{
		`{"ours":true}`:  {"python/svc/.venv goes with it", "python"},
		`{"ours":false}`: {"python/svc/.venv stays: dynsandbox venv didn't make it", "python/svc/.venv/dynsandbox.json"},
	} {
		w := Workspace{Dir: t.TempDir()}
		for file, text := range map[string]string{"python/svc/main.py": "x", "python/svc/tests/test.py": "x", "python/other/main.py": "x", "python/svc/.venv/dynsandbox.json": record} {
			write(t, w, file, []byte(text))
		}
		some := Changes{{Path: "python/svc/main.py", Before: []byte("x")}}
		if notes, err := some.Environments(w.Dir); err != nil || len(notes) > 0 {
			t.Errorf("with a file that stays: %v, %v", notes, err)
		}
		all := append(some, Change{Path: "python/svc/tests/test.py", Before: []byte("x")})
		if notes, err := all.Environments(w.Dir); err != nil || !slices.Equal(notes, []string{want.note}) {
			t.Errorf("%s: %v, %v", record, notes, err)
		}
		if err := all.Apply(w.Dir); err != nil {
			t.Fatal(err)
		}
		if svc := filepath.Join(w.Dir, "python", "svc"); exists(filepath.Join(svc, "main.py")) || exists(svc) != (want.left != "python") || !exists(filepath.Join(w.Dir, want.left)) {
			t.Errorf("%s: left is %v", record, snapshot(t, w.Dir))
		}
	}
}
