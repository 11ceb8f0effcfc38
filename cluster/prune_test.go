package cluster

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// What a former run applied is removed by one that knows nothing of it; what others made, and what is to be kept, stays.
func TestPrune(t *testing.T) {
	t.Parallel()
	api := &apiServer{objects: map[string]map[string]any{}}
	kept := applied("v1", "ConfigMap", "uva", "kept", nil)
	kept.SetAnnotations(map[string]string{"helm.sh/resource-policy": "keep"})
	wanted := []Object{
		applied("v1", "Namespace", "", "uva", nil),
		applied("v1", "ConfigMap", "", "wanted", nil), // in the namespace default, which it doesn't name
	}
	before := append(slices.Clone(wanted), kept,
		applied("v1", "Namespace", "", "vu", nil),
		applied("v1", "ConfigMap", "uva", "wanted", nil),
		applied("apps/v1", "Deployment", "uva", "last-of-its-kind", nil),
	)
	if _, err := clientOf(t, api).Apply(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	own := applied("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicy", "", "mounts.dynsandbox.dev", nil)
	if !isPolicy(own) {
		t.Error("the sandbox's own policies are removed")
	}
	// A controller's copies the labels of what it was made for.
	foreign := applied("v1", "ConfigMap", "uva", "copied", nil)
	foreign.SetLabels(map[string]string{engine.LabelSandbox: "example"})
	api.objects["/api/v1/namespaces/uva/configmaps/copied"] = foreign.Object
	unstructured.SetNestedField(foreign.Object, []any{map[string]any{"manager": "controller", "operation": "Update"}}, "metadata", "managedFields")

	gone, err := clientOf(t, api).Prune(t.Context(), wanted)
	want := []string{"ConfigMap uva/wanted", "Deployment uva/last-of-its-kind", "Namespace vu"}
	if err != nil || !slices.Equal(gone, want) {
		t.Errorf("removed %q, %v, want %q", gone, err, want)
	}
	var left []string
	for path := range api.objects {
		left = append(left, path[strings.LastIndex(path, "/")+1:])
	}
	slices.Sort(left)
	if want := []string{"copied", "kept", "uva", "wanted"}; !slices.Equal(left, want) {
		t.Errorf("left: %q, want %q", left, want)
	}
}
