package sandbox

import (
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
)

func TestSensitive(t *testing.T) {
	t.Parallel()
	service := func(n string) images.Service {
		ref, err := name.NewTag("example/" + n + ":main")
		if err != nil {
			t.Fatal(err)
		}
		return images.Service{Name: n, Refs: []name.Tag{ref}}
	}
	w := &workspace{
		agents: []agent{{Name: "NORTH", Namespace: "north"}, {Name: "SOUTH", Namespace: "south"}},
		launch: &fixtures.Set{
			Microservices: []fixtures.Microservice{{Name: "read", Datasets: []string{"survey"}}, {Name: "blur", Anonymizes: []string{"born"}}, {Name: "count"}},
			Datasets: []fixtures.Dataset{
				{Name: "survey", Tables: []string{"Answers"}, SensitiveColumns: map[string][]string{"Answers": {""}}},
				{Name: "places", Delimiter: ";"},
			},
		},
		found: images.Found{Services: []images.Service{service("read"), service("blur"), service("count")}},
	}
	if s, err := w.sensitive(w.launch); err != nil || s.Datasets != "" {
		t.Errorf("where no column is sensitive: %+v, %v", s, err)
	}
	w.launch.Datasets[0].SensitiveColumns["Answers"] = []string{"born"}
	got, err := w.sensitive(w.launch)
	if err != nil {
		t.Fatal(err)
	}
	want := cluster.Sensitive{
		Datasets:    `[{"name":"places","delimiter":";"},{"name":"survey","tables":["Answers"],"sensitive_columns":{"Answers":["born"]}}]`,
		Namespaces:  []string{"north", "south"},
		Readers:     []string{"docker.io/example/read:main"},
		Anonymizers: map[string][]string{"docker.io/example/blur:main": {"born"}},
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
