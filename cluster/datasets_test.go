package cluster

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var testDatasets = Datasets{
	Folders: map[string]string{"north": "datasets/NORTH", "south": "datasets/south"},
	Images:  []string{"docker.io/dynamos1/read:main"},
}

func TestDatasetsObjects(t *testing.T) {
	t.Parallel()
	objects := testDatasets.Objects()
	if len(objects) != 4 {
		t.Fatalf("%d objects", len(objects))
	}
	volume, claim := objects[0], objects[1]
	path, _, _ := unstructured.NestedString(volume.Object, "spec", "hostPath", "path")
	bound, _, _ := unstructured.NestedString(volume.Object, "spec", "claimRef", "name")
	to, _, _ := unstructured.NestedString(claim.Object, "spec", "volumeName")
	if path != "/dynsandbox/workspace/datasets/NORTH" || bound != claim.GetName() || to != volume.GetName() || claim.GetNamespace() != "north" {
		t.Errorf("%v\n%v", volume.Object, claim.Object)
	}
	for _, d := range []Datasets{{Folders: testDatasets.Folders}, {Images: testDatasets.Images}} {
		if got := d.Objects(); len(got) != 0 {
			t.Errorf("%+v has %v", d, got)
		}
	}
}

func TestDatasetsPolicy(t *testing.T) {
	t.Parallel()
	objects, version, err := testDatasets.policy()
	if err != nil || len(objects) != 2 {
		t.Fatalf("%v, %v", objects, err)
	}
	condition := objects[0].Object["spec"].(map[string]any)["matchConditions"].([]any)[0].(map[string]any)["expression"].(string)
	for _, part := range []string{`["north","south","default"]`, `"dynamos1/read:main"`, `"/app/datasets"`} {
		if !strings.Contains(condition, part) {
			t.Errorf("the condition lacks %s: %s", part, condition)
		}
	}
	if _, v, err := testDatasets.policy(); err != nil || v != version {
		t.Errorf("the same data sets have version %s, then %s, %v", version, v, err)
	}
	other := Datasets{Folders: map[string]string{"north": "datasets/NORTH"}, Images: testDatasets.Images}
	if _, v, err := other.policy(); err != nil || v == version {
		t.Errorf("other data sets have the same version, %v", err)
	}
}
