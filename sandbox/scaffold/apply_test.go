package scaffold

import (
	"os"
	"path/filepath"
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
