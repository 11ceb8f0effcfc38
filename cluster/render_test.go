package cluster

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

func ids(objects []Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, o.ID())
	}
	return out
}

func TestRenderWorkspace(t *testing.T) {
	t.Parallel()
	r, err := RenderWorkspace("testdata/workspace", map[string]any{"secret": map[string]any{"password": "s3cret"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Namespace uva", "Secret uva/rabbit", "Service uva/uva", "Deployment uva/uva"}
	if diff := cmp.Diff(want, ids(r.Objects)); diff != "" {
		t.Errorf("objects, in order (-want +got):\n%s", diff)
	}
	if got, _, _ := unstructured.NestedString(r.Objects[1].Object, "stringData", "password"); got != "s3cret" {
		t.Errorf("password: got %q, want the one given", got)
	}
	// The chart's own name differs from its folder's; people know the folder.
	if d := r.Objects[3]; d.Chart != "agents" || d.Template != "charts/agents/templates/uva.yaml" {
		t.Errorf("provenance: got %q, %q", d.Chart, d.Template)
	}
	var omitted []string
	for _, o := range r.Omissions {
		if o.Reason == "" {
			t.Errorf("%s: no reason", o.Name)
		}
		omitted = append(omitted, o.Chart+": "+o.Kind+" "+o.Name)
	}
	slices.Sort(omitted)
	if diff := cmp.Diff([]string{"agents: Pod call", "core: Deployment rabbitmq", "namespaces: Job init-etcd-pvc", "namespaces: PersistentVolumeClaim etcd-pvc"}, omitted); diff != "" {
		t.Errorf("omissions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Artifact{{"agents", "dynamos1", "main"}}, r.Artifacts); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"busybox", "dynamos1/agent:main", "dynamos1/sidecar:main"}, Images(r.Objects)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	_, err := RenderWorkspace("testdata/broken", nil)
	got := fault.AsInvalids(err)
	want := fault.Invalids{
		{File: "charts/exec/templates/a.yaml", Line: 4, Column: 18},
		{File: "charts/parse/templates/a.yaml", Line: 4},
		{File: "charts/values/values.yaml", Line: 3},
		{File: "charts/yaml/templates/a.yaml"}, // where in the template can't be known: the line is quoted
	}
	if len(got) != len(want) {
		t.Fatalf("got %d problems, want %d (a chart that is left out needn't be in order):\n%v", len(got), len(want), err)
	}
	for i, g := range got {
		if g.File != want[i].File || g.Line != want[i].Line || g.Column != want[i].Column || g.Problem == "" {
			t.Errorf("problem %d: got %v, want it at %v", i, g, want[i])
		}
	}
	if p := got[len(got)-1].Problem; !strings.Contains(p, `"name: \"yaml"`) {
		t.Errorf("the rendered line isn't quoted: %s", p)
	}
	if _, err := RenderWorkspace(t.TempDir(), nil); fault.AsInvalids(err) == nil {
		t.Errorf("a folder without charts: got %v, want a fault.Invalid", err)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	network := Network{Gateway: netip.MustParseAddr("10.213.7.1"), Broker: netip.MustParseAddr("10.213.7.10")}
	object := func(kind, namespace, name, chart string) Object {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": kind}}
		u.SetNamespace(namespace)
		u.SetName(name)
		return Object{Unstructured: u, Chart: chart}
	}
	got := Order(append(OutsideObjects(network),
		object("Widget", "core", "w", "a"), object("Deployment", "core", "d", "a"), object("Namespace", "", "core", "namespaces")))
	place := map[string]int{}
	for i, o := range got {
		if _, twice := place[o.ID()]; twice {
			t.Errorf("%s is there twice", o.ID())
		}
		place[o.ID()] = i
	}
	if c := got[place["Namespace core"]].Chart; c != "namespaces" {
		t.Errorf("Namespace core: got the one of chart %q, want the chart's own", c)
	}
	for _, pair := range [][2]string{
		{"Namespace orchestrator", "PersistentVolumeClaim orchestrator/etcd-pvc"},
		{"PersistentVolume dynsandbox-launch-files", "PersistentVolumeClaim orchestrator/etcd-pvc"},
		{"EndpointSlice core/etcd-headless-dynsandbox", "Deployment core/d"},
		{"Deployment core/d", "Widget core/w"},
	} {
		if place[pair[0]] >= place[pair[1]] {
			t.Errorf("%s must come before %s", pair[0], pair[1])
		}
	}
}

// A ClusterIP Service and its slice must name their ports alike, or connections are refused without an error.
func TestOutsidePortNames(t *testing.T) {
	t.Parallel()
	names := map[string]map[string][]string{}
	for _, o := range OutsideObjects(Network{Gateway: netip.MustParseAddr("10.213.7.1"), Broker: netip.MustParseAddr("10.213.7.10")}) {
		key, path := o.GetName(), []string{"spec", "ports"}
		switch o.GetKind() {
		case "Service":
		case "EndpointSlice":
			key, path = o.GetLabels()["kubernetes.io/service-name"], []string{"ports"}
		default:
			continue
		}
		list, _, _ := unstructured.NestedSlice(o.Object, path...)
		for _, p := range maps(list) {
			if names[key] == nil {
				names[key] = map[string][]string{}
			}
			names[key][o.GetKind()] = append(names[key][o.GetKind()], p["name"].(string))
		}
	}
	if len(names) != 3 {
		t.Fatalf("got Services %v, want three", names)
	}
	for service, by := range names {
		if diff := cmp.Diff(by["Service"], by["EndpointSlice"]); diff != "" {
			t.Errorf("%s: ports' names (-service +slice):\n%s", service, diff)
		}
	}
}

// An error quotes what a template rendered to, but never a password.
func TestNear(t *testing.T) {
	t.Parallel()
	err := errors.New("yaml: line 3: mapping values are not allowed in this context")
	for doc, want := range map[string]string{
		"kind: ConfigMap\ndata:\n  a: b: c\n":                           `, near the rendered line "a: b: c"`,
		"kind: Secret\nstringData:\n  a: b: c\n":                        "",
		"data:\n  k: v\n  a: b: c\nkind: 'Secret'\n":                    "",
		"{\"kind\": \"Secret\",\n\"stringData\":\n{\"a\": \"b\": \"c\"": "",
	} {
		if got := near([]byte(doc), err); got != want {
			t.Errorf("%q: got %q, want %q", doc, got, want)
		}
	}
}
