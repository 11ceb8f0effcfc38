package scaffold

import (
	"errors"
	"strings"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

var archetypes = map[string]struct {
	workspace string
	archetype Archetype
}{
	"archetype-apart":         {"compact.txtar", Archetype{Name: "apart"}},
	"archetype-spread-shared": {"spread.txtar", Archetype{Name: "Shared-2", ComputeProvider: "other", Weight: new(5)}},
	"archetype-spread-one":    {"spread.txtar", Archetype{Name: "one", Providers: []string{"SOUTH"}}},
}

func TestArchetypeDiff(t *testing.T) {
	t.Parallel()
	for name, c := range archetypes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := open(t, c.workspace)
			before := snapshot(t, w.Dir)
			changes, err := AddArchetype(w, c.archetype)
			if err != nil {
				t.Fatal(err)
			}
			diff, err := changes.Diff()
			if err != nil {
				t.Fatal(err)
			}
			same(t, w.Dir, before)
			golden(t, name+".diff", diff)

			if err := changes.Apply(w.Dir); err != nil {
				t.Fatal(err)
			}
			if _, err := AddArchetype(w, c.archetype); fault.AsInvalids(err) == nil {
				t.Errorf("adding it twice: %v", err)
			}
			changes, err = RemoveArchetype(w, c.archetype.Name, false)
			leads(t, w, changes, err, before)
		})
	}
}

func TestArchetypeRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		archetype Archetype
		says      string
	}{
		{Archetype{Name: "a_b"}, `"a_b" is no name for an archetype`},
		{Archetype{Name: strings.Repeat("a", 41)}, "at most 40"},
		{Archetype{Name: "computetodata"}, `configuration/etcd_launch_files/archetype.json:1:11: there is an archetype "computeToData" already`},
		{Archetype{Name: "two-means"}, `has a scenario "two-means" already`},
		{Archetype{Name: "x", Weight: new(0)}, "--weight: 0 is no weight"},
		{Archetype{Name: "x", Weight: new(-1)}, "--weight: -1 is no weight"},
		{Archetype{Name: "x", ComputeProvider: "others"}, `(did you mean "other"?)`},
		{Archetype{Name: "x", Providers: []string{"NORHT"}}, `(did you mean "NORTH"?)`},
		{Archetype{Name: "x", ComputeProvider: "other"}, "no agreement lets anybody"}, // NORTH allows no third party
	} {
		_, err := AddArchetype(open(t, "compact.txtar"), c.archetype)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("got %v, want %q", err, c.says)
		}
	}
	if _, err := RemoveArchetype(open(t, "compact.txtar"), "computeToDate", false); err == nil || !strings.Contains(err.Error(), `did you mean "computeToData"?`) {
		t.Errorf("removing one that isn't there: %v", err)
	}
}

func TestRemoveArchetypeKeepsWork(t *testing.T) {
	t.Parallel()
	w := open(t, "compact.txtar")
	if _, err := RemoveArchetype(w, "computeToData", false); !errors.As(err, new(*EditedError)) {
		t.Errorf("removing one that was not made so: %v", err)
	}
	changes, err := AddArchetype(w, Archetype{Name: "apart"})
	if err != nil {
		t.Fatal(err)
	}
	if err := changes.Apply(w.Dir); err != nil {
		t.Fatal(err)
	}
	write(t, w, "scenarios/apart.yaml", []byte("my own\n"))
	if _, err := RemoveArchetype(w, "apart", false); !errors.As(err, new(*EditedError)) {
		t.Errorf("removing one whose scenario was edited: %v", err)
	}
}
