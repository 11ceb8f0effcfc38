package cluster

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// What the API server refuses is told with the template and, where only one line can be meant, the line; nothing is changed.
func TestCheck(t *testing.T) {
	t.Parallel()
	api := &apiServer{objects: map[string]map[string]any{}}
	c := clientOf(t, api)
	deployment := func(namespace, name, refused string) Object {
		o := applied("apps/v1", "Deployment", namespace, name, map[string]any{"spec": map[string]any{"refused": refused}})
		o.Template = "charts/a/templates/" + name + ".yaml"
		return o
	}
	good := []Object{
		applied("v1", "Namespace", "", "new", nil), deployment("new", "fine", ""), deployment("uva", "fine", ""),
		applied("example.com/v1", "Thing", "new", "t", nil),
	}
	workspace := fstest.MapFS{
		"charts/a/templates/field.yaml": {Data: []byte("kind: Deployment\nspec:\n  containers:\n    - name: a\n      imagePullPolicyy: Always\n")},
		"charts/a/templates/two.yaml":   {Data: []byte("replicas: 1\n---\n{replicas: 2}\n")},
		"charts/a/templates/one.yaml":   {Data: []byte("spec: {replicas: -1, minReplicas: 3}\n")},
	}
	if err := c.Check(t.Context(), workspace, good); err != nil {
		t.Errorf("what it takes: %v", err)
	}
	bad := append(good,
		deployment("uva", "field", `failed to create typed patch object (uva/field; apps/v1, Kind=Deployment): .spec.containers[name="a:b"].imagePullPolicyy: field not declared in schema`),
		deployment("new", "two", "must not be negative"), // in a namespace that isn't there yet
		deployment("uva", "one", "must not be negative"))
	err := c.Check(t.Context(), workspace, bad)
	want := []string{
		`charts/a/templates/field.yaml:5:7: Deployment uva/field: .spec.containers[name="a:b"].imagePullPolicyy: field not declared in schema`,
		"charts/a/templates/one.yaml:1:8: Deployment uva/one: spec.replicas: must not be negative",
		"charts/a/templates/two.yaml: Deployment new/two: spec.replicas: must not be negative",
	}
	if fault.AsInvalids(err) == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
	if len(api.objects) > 0 {
		t.Errorf("it has changed %v", api.objects)
	}
	ours := applied("apps/v1", "Deployment", "uva", "ours", map[string]any{"spec": map[string]any{"refused": "no"}})
	if err := c.Check(t.Context(), workspace, []Object{ours}); err == nil || fault.AsInvalids(err) != nil {
		t.Errorf("what no chart has: %v", err)
	}
}
