package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
)

func TestReadDatasets(t *testing.T) {
	t.Parallel()
	tag := func(s string) name.Tag {
		ref, err := name.NewTag(s)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	w := &workspace{
		dir:    t.TempDir(),
		agents: []agent{{Name: "NORTH", Namespace: "north"}, {Name: "SOUTH", Namespace: "south"}},
		launch: &fixtures.Set{Microservices: []fixtures.Microservice{{Name: "read", Datasets: []string{"survey"}}, {Name: "count"}}},
		found: images.Found{Services: []images.Service{
			{Name: "read", Refs: []name.Tag{tag("example/read:main")}}, {Name: "count", Refs: []name.Tag{tag("example/count:main")}},
		}},
	}
	if d, strange, err := readDatasets(w); err != nil || len(d.Folders) != 0 || len(strange) != 0 {
		t.Errorf("without a folder: %+v, %v, %v", d, strange, err)
	}
	for _, dir := range []string{"North", "souht", ".git"} {
		if err := os.MkdirAll(filepath.Join(w.dir, "datasets", dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "datasets", "SOUTH"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d, strange, err := readDatasets(w)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Datasets{Folders: map[string]string{"north": "datasets/North"}, Images: []string{"docker.io/example/read:main"}}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Errorf("data sets (-want +got):\n%s", diff)
	}
	if !slices.Equal(strange, []string{"souht"}) {
		t.Errorf("strange: %v", strange)
	}
	// What is mounted below a service's own folder needs a place in it.
	if points := pointsOf(&workspace{launch: w.launch, rendered: &cluster.Rendered{}}, w.found.Services[0]); !slices.Equal(points, []string{cluster.DatasetsPath}) {
		t.Errorf("points: %v", points)
	}
}

// Folders that nobody reads are told: DYNAMOS's own launch files say of no service that it does.
func TestDatasetsThatNobodyReads(t *testing.T) {
	t.Parallel()
	folders := map[string]string{"north": "datasets/NORTH"}
	for want, d := range map[int]cluster.Datasets{
		1: {Folders: folders},
		0: {Folders: folders, Images: []string{"docker.io/example/read:main"}},
	} {
		b := &bringUp{workspace: &workspace{datasets: d}, feed: newFeed(nil)}
		b.noteDatasets(nil)
		if got := len(b.feed.events); got != want {
			t.Errorf("%+v: %d notes, want %d", d, got, want)
		}
	}
}
