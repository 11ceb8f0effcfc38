package images

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func idOf(t *testing.T, img v1.Image) string {
	t.Helper()
	id, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return id.String()
}

// containerd's CRI names every image by its ID, too. Were those names left, each build would stay on the node for good.
func TestIDsOfImagesThatNothingNamesAreRemoved(t *testing.T) {
	t.Parallel()
	old, changed, other := imageOf(t, textLayer(t, "old")), imageOf(t, textLayer(t, "changed")), imageOf(t, textLayer(t, "other"))
	for name, tc := range map[string]struct {
		before  map[string]v1.Image // loaded one after the other with the first two of acc/a:main
		inUse   []string
		stays   bool // the old image's ID
		removed []string
	}{
		"its tag moved":                        {nil, nil, false, []string{idOf(t, old)}},
		"another tag names it":                 {map[string]v1.Image{"acc/b:main": old}, nil, true, nil},
		"a container was made of it":           {nil, []string{idOf(t, old)}, true, nil},
		"a container was made of the tag":      {nil, []string{"docker.io/acc/a:main"}, false, []string{idOf(t, old)}},
		"an image that has nothing to do with": {map[string]v1.Image{"acc/c:main": other}, nil, false, []string{idOf(t, old)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := newFakeNode()
			node.containers = tc.inUse
			load := func(ref string, img v1.Image) Report {
				t.Helper()
				report, err := Load(t.Context(), node, map[name_]v1.Image{tagOf(t, ref): img})
				if err != nil {
					t.Fatal(err)
				}
				return report
			}
			load("acc/a:main", old)
			for ref, img := range tc.before {
				load(ref, img)
			}
			report := load("acc/a:main", changed)
			if _, stays := node.names[idOf(t, old)]; stays != tc.stays {
				t.Errorf("the ID of the old image stays: %v; names: %v", stays, slices.Sorted(maps.Keys(node.names)))
			}
			if diff := cmp.Diff(tc.removed, report.Removed); diff != "" {
				t.Errorf("reported as removed: %s", diff)
			}
			if _, ok := node.names[idOf(t, changed)]; !ok {
				t.Error("the ID of the new image is gone")
			}
			for ref := range tc.before {
				if _, ok := node.names[Normalised(tagOf(t, ref))]; !ok {
					t.Errorf("%s is gone", ref)
				}
			}
		})
	}
}

// What can't be cleaned up is cleaned up by a later load: the images that were loaded run all the same.
func TestLoadWhenOldNamesCantBeRemoved(t *testing.T) {
	t.Parallel()
	node := newFakeNode()
	tag := tagOf(t, "acc/a:main")
	old, changed, again := imageOf(t, textLayer(t, "old")), imageOf(t, textLayer(t, "changed")), imageOf(t, textLayer(t, "again"))
	for _, step := range []struct {
		img        v1.Image
		cantRemove bool
		removed    int
	}{{old, false, 0}, {changed, true, 0}, {again, false, 2}} {
		node.cantRemove = step.cantRemove
		report, err := Load(t.Context(), node, map[name.Tag]v1.Image{tag: step.img})
		if err != nil || len(report.Removed) != step.removed {
			t.Errorf("error %v, removed %v, want %d", err, report.Removed, step.removed)
		}
	}
	if len(node.names) != 2 {
		t.Errorf("names %v, want a tag and its image's ID", node.names)
	}
}
