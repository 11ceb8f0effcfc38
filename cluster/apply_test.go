package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// apiServer keeps what is applied to it, and counts what it is asked for.
type apiServer struct {
	mu       sync.Mutex
	objects  map[string]map[string]any // by path
	version  int
	requests []string // "GET one", "GET list", "PATCH", "discover"
	order    []string // names in the order in which they were applied
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	answer := func(v any) { json.NewEncoder(w).Encode(v) }
	kind := func(name, kind string, namespaced bool) metav1.APIResource {
		return metav1.APIResource{Name: name, Kind: kind, Namespaced: namespaced, Verbs: metav1.Verbs{"list", "delete"}}
	}
	path := r.URL.Path
	switch path {
	case "/api":
		s.requests = append(s.requests, "discover")
		answer(metav1.APIVersions{Versions: []string{"v1"}})
		return
	case "/apis":
		v := metav1.GroupVersionForDiscovery{GroupVersion: "apps/v1", Version: "v1"}
		answer(metav1.APIGroupList{Groups: []metav1.APIGroup{{Name: "apps", Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}}})
		return
	case "/api/v1":
		answer(metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{kind("namespaces", "Namespace", false), kind("configmaps", "ConfigMap", true)}})
		return
	case "/apis/apps/v1":
		answer(metav1.APIResourceList{GroupVersion: "apps/v1", APIResources: []metav1.APIResource{kind("deployments", "Deployment", true)}})
		return
	}
	switch o, ok := s.objects[path]; {
	case r.Method == http.MethodPatch:
		s.requests = append(s.requests, "PATCH")
		s.order = append(s.order, path[strings.LastIndex(path, "/")+1:])
		s.patch(w, r, o)
	case r.Method == http.MethodDelete:
		s.requests = append(s.requests, "DELETE")
		delete(s.objects, path)
		answer(metav1.Status{Status: "Success"})
	case r.URL.Query().Has("labelSelector"):
		s.requests = append(s.requests, "GET list")
		items := []any{}
		k, v, _ := strings.Cut(r.URL.Query().Get("labelSelector"), "=")
		for p, o := range s.objects {
			labels, _, _ := unstructured.NestedStringMap(o, "metadata", "labels")
			if strings.HasSuffix(p[:strings.LastIndex(p, "/")], path[strings.LastIndex(path, "/"):]) && labels[k] == v {
				items = append(items, o)
			}
		}
		answer(map[string]any{"kind": "List", "apiVersion": "v1", "metadata": map[string]any{}, "items": items})
	case ok:
		s.requests = append(s.requests, "GET one")
		answer(o)
	default:
		s.requests = append(s.requests, "GET one")
		w.WriteHeader(http.StatusNotFound)
		answer(metav1.Status{Status: "Failure", Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
	}
}

// refuse answers a patch as an API server does that doesn't take it, and reports whether it did: for objects whose spec says so.
func (s *apiServer) refuse(w http.ResponseWriter, r *http.Request, o map[string]any) bool {
	said, _, _ := unstructured.NestedString(o, "spec", "refused")
	failure := metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Message: said}
	at := strings.Split(r.URL.Path, "/")
	switch {
	case strings.HasPrefix(said, "failed to create typed patch object"):
		failure.Code = http.StatusInternalServerError
	case len(at) > 6 && at[len(at)-3] == "ending":
		failure.Code, failure.Reason = http.StatusForbidden, metav1.StatusReasonForbidden
		failure.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{
			Type: corev1.NamespaceTerminatingCause, Field: "metadata.namespace", Message: "namespace ending is being terminated",
		}}}
	case len(at) > 6 && at[len(at)-3] == "new" && r.URL.Query().Has("dryRun"):
		failure.Code, failure.Reason, failure.Details = http.StatusNotFound, metav1.StatusReasonNotFound, &metav1.StatusDetails{Kind: "namespaces", Name: "new"}
	case s.objects[r.URL.Path] != nil && fmt.Sprint(selectedBy(o)) != fmt.Sprint(selectedBy(s.objects[r.URL.Path])):
		failure.Code, failure.Reason = http.StatusUnprocessableEntity, metav1.StatusReasonInvalid
		failure.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: "spec.selector", Message: "field is immutable"}}}
	case strings.HasPrefix(said, "denied"):
		failure.Code, failure.Reason = http.StatusForbidden, metav1.StatusReasonForbidden
		failure.Message = fmt.Sprintf("deployments.apps %q is forbidden: %s", at[len(at)-1], said)
	case said != "":
		failure.Code, failure.Reason = http.StatusUnprocessableEntity, metav1.StatusReasonInvalid
		failure.Details = &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: "spec.replicas", Message: said}}}
	default:
		return false
	}
	w.WriteHeader(int(failure.Code))
	json.NewEncoder(w).Encode(failure)
	return true
}

func selectedBy(o map[string]any) any {
	selector, _, _ := unstructured.NestedFieldNoCopy(o, "spec", "selector")
	return selector
}

// patch counts the resource version up only where something changes, as server-side apply does.
func (s *apiServer) patch(w http.ResponseWriter, r *http.Request, old map[string]any) {
	body, err := io.ReadAll(r.Body)
	var o map[string]any
	if err == nil {
		err = json.Unmarshal(body, &o)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.refuse(w, r, o) {
		return
	}
	if r.URL.Query().Has("dryRun") {
		json.NewEncoder(w).Encode(o)
		return
	}
	if at := strings.Split(r.URL.Path, "/"); len(at) > 6 { // .../namespaces/NAMESPACE/KIND/NAME
		unstructured.SetNestedField(o, at[len(at)-3], "metadata", "namespace")
	}
	if old != nil {
		unstructured.SetNestedField(o, old["metadata"].(map[string]any)["resourceVersion"], "metadata", "resourceVersion")
	}
	unstructured.SetNestedSlice(o, []any{map[string]any{"manager": r.URL.Query().Get("fieldManager"), "operation": "Apply"}}, "metadata", "managedFields")
	if fmt.Sprint(o) != fmt.Sprint(old) {
		s.version++
		unstructured.SetNestedField(o, fmt.Sprint(s.version), "metadata", "resourceVersion")
	}
	s.objects[r.URL.Path] = o
	json.NewEncoder(w).Encode(o)
}

func (s *apiServer) count(request string) (n int) {
	for _, r := range s.requests {
		if r == request {
			n++
		}
	}
	return n
}

func applied(apiVersion, kind, namespace, name string, data map[string]any) Object {
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	o := map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": meta}
	for k, v := range data {
		o[k] = v
	}
	return Object{Unstructured: &unstructured.Unstructured{Object: o}}
}

// clientOf is a client of the API server.
func clientOf(t *testing.T, api *apiServer) *Client {
	t.Helper()
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	c, err := newClient("example", []byte("apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x}}]\nclusters: [{name: x, cluster: {server: '"+server.URL+"'}}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestApply(t *testing.T) {
	t.Parallel()
	api := &apiServer{objects: map[string]map[string]any{}}
	c := clientOf(t, api)
	template := map[string]any{"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{}}}}}
	objects := func(value string) []Object {
		return []Object{
			applied("apps/v1", "Deployment", "uva", "d", template),
			applied("v1", "ConfigMap", "", "c", map[string]any{"data": map[string]any{"k": value}}),
			applied("v1", "Namespace", "", "uva", nil),
			applied("example.com/v1", "Thing", "uva", "t", nil),
		}
	}
	check := func(step string, value string, created, changed, unchanged int) {
		t.Helper()
		api.requests, api.order = nil, nil
		report, err := c.Apply(t.Context(), objects(value))
		if err != nil {
			t.Fatalf("%s: %v", step, err)
		}
		if len(report.Created) != created || len(report.Changed) != changed || len(report.Unchanged) != unchanged {
			t.Errorf("%s: got %+v, want %d created, %d changed, %d unchanged", step, report, created, changed, unchanged)
		}
		if len(report.Skipped) != 1 || report.Skipped[0].Kind != "Thing" {
			t.Errorf("%s: skipped %+v, want the kind that the cluster hasn't", step, report.Skipped)
		}
	}
	check("first", "1", 3, 0, 0)
	if want := []string{"uva", "c", "d"}; !slices.Equal(api.order, want) {
		t.Errorf("applied in the order %q, want %q", api.order, want)
	}
	check("again", "1", 0, 0, 3)
	if got := api.count("GET one"); got != 0 {
		t.Errorf("%d objects were asked for one by one, though all are there: %q", got, api.requests)
	}
	check("changed", "2", 0, 1, 2)
	if api.order[len(api.order)-1] != "d" {
		t.Errorf("applied in the order %q: what makes Pods must come after what they read", api.order)
	}
	if labels, _, _ := unstructured.NestedStringMap(api.objects["/api/v1/namespaces/default/configmaps/c"], "metadata", "labels"); labels[engine.LabelSandbox] != "example" {
		t.Errorf("the ConfigMap's labels are %v", labels)
	}

	// What is there without our label was made by somebody else: it isn't created.
	unstructured.RemoveNestedField(api.objects["/api/v1/namespaces/uva"], "metadata", "labels")
	check("adopted", "2", 0, 1, 2)
}
