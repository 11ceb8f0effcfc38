package images

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func manifestOf(t *testing.T, img v1.Image) string {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

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
			node := newFakeNode(t)
			load := func(ref string, img v1.Image) Report {
				t.Helper()
				report, err := node.Load(t.Context(), map[name_]v1.Image{tagOf(t, ref): img})
				if err != nil {
					t.Fatal(err)
				}
				return report
			}
			load("acc/a:main", old)
			for i, image := range tc.inUse {
				node.runContainer(t, fmt.Sprint("container-", i), image)
			}
			for ref, img := range tc.before {
				load(ref, img)
			}
			report := load("acc/a:main", changed)
			if _, stays := node.names(t)[idOf(t, old)]; stays != tc.stays {
				t.Errorf("the ID of the old image stays: %v; names: %v", stays, slices.Sorted(maps.Keys(node.names(t))))
			}
			if diff := cmp.Diff(tc.removed, report.Removed); diff != "" {
				t.Errorf("reported as removed: %s", diff)
			}
			if _, ok := node.names(t)[idOf(t, changed)]; !ok {
				t.Error("the ID of the new image is gone")
			}
			for ref := range tc.before {
				if _, ok := node.names(t)[Normalised(tagOf(t, ref))]; !ok {
					t.Errorf("%s is gone", ref)
				}
			}
		})
	}
}

// What can't be cleaned up is cleaned up by a later load: the images that were loaded run all the same.
func TestLoadWhenOldNamesCantBeRemoved(t *testing.T) {
	t.Parallel()
	node := newFakeNode(t)
	tag := tagOf(t, "acc/a:main")
	old, changed, again := imageOf(t, textLayer(t, "old")), imageOf(t, textLayer(t, "changed")), imageOf(t, textLayer(t, "again"))
	for _, step := range []struct {
		img        v1.Image
		cantRemove bool
		removed    int
	}{{old, false, 0}, {changed, true, 0}, {again, false, 2}} {
		node.cantRemove = step.cantRemove
		report, err := node.Load(t.Context(), map[name.Tag]v1.Image{tag: step.img})
		if err != nil || len(report.Removed) != step.removed {
			t.Errorf("error %v, removed %v, want %d", err, report.Removed, step.removed)
		}
	}
	if len(node.names(t)) != 2 {
		t.Errorf("names %v, want a tag and its image's ID", node.names(t))
	}
}

func TestRetagAndUntag(t *testing.T) {
	t.Parallel()
	node := newFakeNode(t)
	one, two := imageOf(t, textLayer(t, "one")), imageOf(t, textLayer(t, "two"))
	if _, err := node.Load(t.Context(), map[name.Tag]v1.Image{tagOf(t, "acc/a:main"): one, tagOf(t, "acc/b:main"): two}); err != nil {
		t.Fatal(err)
	}
	if err := node.Retag(t.Context(), map[string]string{"docker.io/acc/a:kept": "docker.io/acc/a:main", "docker.io/acc/b:main": "docker.io/acc/a:main"}); err != nil {
		t.Fatal(err)
	}
	if err := node.Untag(t.Context(), "docker.io/acc/a:main", "docker.io/acc/none:main"); err != nil {
		t.Fatal(err)
	}
	d := manifestOf(t, one) // the other has no name any more but its ID
	want := map[string]string{"docker.io/acc/a:kept": d, "docker.io/acc/b:main": d, idOf(t, one): d}
	if diff := cmp.Diff(want, node.names(t)); diff != "" {
		t.Error(diff)
	}
	err := node.Retag(t.Context(), map[string]string{"docker.io/acc/c:main": "docker.io/acc/gone:main"})
	if err == nil || !strings.Contains(err.Error(), "docker.io/acc/gone:main") {
		t.Errorf("got error %v for a name that isn't there", err)
	}
	if diff := cmp.Diff(want, node.names(t)); diff != "" {
		t.Errorf("after the failure: %s", diff)
	}
}
