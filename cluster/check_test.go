package cluster

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Of several documents in a template only the object's own says where a field is.
func TestPlaceOfAField(t *testing.T) {
	t.Parallel()
	const (
		service    = "kind: Service\nmetadata:\n  name: a\nspec:\n  replicas: 2\n"
		deployment = "kind: Deployment\nmetadata:\n  # its name\n  name: a\nspec:\n"
		replicas   = "  replicas: 1\n"
	)
	for name, test := range map[string]struct {
		template string
		line     int
	}{
		"in another document": {service + "---\n" + deployment, 0},
		"in both":             {service + "---\n" + deployment + replicas, 12},
		"twice in its own":    {deployment + replicas + replicas + "---\n" + service, 0},
		"the first":           {"---\n" + deployment + replicas + "---\n" + service, 7},
		"after a loop":        {"{{- range .Values.x }}\n---\n" + strings.Replace(deployment, "name: a", "name: {{ . }}", 1) + replicas + "---\n" + service, 8},
		"quoted, with a comment": {
			service + "---\n" + strings.Replace(deployment, "name: a", `name: "a"  # ours`, 1) + replicas, 12,
		},
		"of two of a kind": {
			deployment + replicas + "---\n" + strings.Replace(deployment, "name: a", "name: b", 1) + replicas, 6,
		},
		"of two that may be it": {
			deployment + replicas + "---\n" + strings.Replace(deployment, "name: a", "name: {{ .Values.b }}", 1) + replicas, 0,
		},
		"one document of any form": {"---\n{kind: Deployment,\n replicas: 1}", 3},
		"documents of any form":    {"{kind: Deployment,\n replicas: 1}\n---\n{kind: Service}", 0},
	} {
		o := applied("apps/v1", "Deployment", "uva", "a", nil)
		o.Template = "t.yaml"
		if line, _ := placeOf(fstest.MapFS{"t.yaml": {Data: []byte(test.template)}}, o, "spec.replicas"); line != test.line {
			t.Errorf("%s: line %d, want %d of\n%s", name, line, test.line, test.template)
		}
	}
}

// An object whose namespace isn't there, or about to go, is tried elsewhere, where the name may be another's.
func TestCheckWithoutTheNamespace(t *testing.T) {
	t.Parallel()
	selecting := func(namespace, name string) Object {
		o := applied("apps/v1", "Deployment", namespace, name, map[string]any{"spec": map[string]any{"selector": namespace}})
		o.Template = "charts/a/templates/a.yaml"
		return o
	}
	const long = "a-name-as-long-as-a-name-of-a-service-may-be-which-is-sixty-three"
	api := &apiServer{objects: map[string]map[string]any{}}
	var objects []Object
	for _, name := range []string{"a", "reader", long[:63]} {
		api.objects["/apis/apps/v1/namespaces/default/deployments/"+name] = selecting("default", name).Object
		objects = append(objects, selecting("new", name), selecting("ending", name))
	}
	c := clientOf(t, api)
	if err := c.Check(t.Context(), fstest.MapFS{}, objects); err != nil {
		t.Error(err)
	}
	elsewhere := 0
	for _, name := range api.order {
		if len(name) > 63 {
			t.Errorf("%s was tried, which is too long", name)
		}
		if api.objects["/apis/apps/v1/namespaces/default/deployments/"+name] == nil {
			elsewhere++
		}
	}
	if elsewhere != len(objects) {
		t.Errorf("%d of %d were tried under another name: %q", elsewhere, len(objects), api.order)
	}
	here := []Object{selecting("new", "b"), selecting("default", "a")}
	here[1].Object["spec"] = map[string]any{"selector": "another"}
	if err := c.Check(t.Context(), fstest.MapFS{}, here); err == nil || !strings.Contains(err.Error(), "Deployment default/a: spec.selector") {
		t.Errorf("a selector that changes: %v", err)
	}
}

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
		deployment("new", "policy", "denied by a policy"),
		deployment("uva", "one", "must not be negative"))
	err := c.Check(t.Context(), workspace, bad)
	want := []string{
		`charts/a/templates/field.yaml:5:7: Deployment uva/field: .spec.containers[name="a:b"].imagePullPolicyy: field not declared in schema`,
		"charts/a/templates/one.yaml:1:8: Deployment uva/one: spec.replicas: must not be negative",
		`charts/a/templates/policy.yaml: Deployment new/policy: deployments.apps "policy" is forbidden: denied by a policy`,
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
