package cluster

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
)

// Object is one Kubernetes object, and where it comes from.
type Object struct {
	*unstructured.Unstructured
	Chart    string // the chart's folder name; empty: ours
	Template string // path in the workspace, as charts/agents/templates/uva.yaml
}

// Kept reports whether its chart asks for it to stay when the chart has it no more, as Helm understands it.
func (o Object) Kept() bool { return o.GetAnnotations()["helm.sh/resource-policy"] == "keep" }

// ID names an object for people and in maps: "Deployment uva/uva".
func (o Object) ID() string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName())
}

// rank is a kind's place in Helm's install order; kinds that it doesn't know (custom resources) come last.
func rank(kind string) int {
	if kind == "MutatingAdmissionPolicyBinding" {
		return len(releaseutil.InstallOrder) + 2 // after the policy it binds
	}
	if i := slices.Index(releaseutil.InstallOrder, kind); i >= 0 {
		return i
	}
	if kind == "EndpointSlice" {
		return slices.Index(releaseutil.InstallOrder, "Service") // no Pod should find a Service without its endpoints
	}
	return len(releaseutil.InstallOrder) + 1
}

// Order returns the objects in the order in which they are to be applied: Helm's install order over all charts,
// stable. Of two with the same identity the last stays (a chart's Namespace over our bare one).
func Order(objects []Object) []Object {
	last := map[string]int{}
	for i, o := range objects {
		last[identity(o)] = i
	}
	var out []Object
	for i, o := range objects {
		if last[identity(o)] == i {
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b Object) int { return rank(a.GetKind()) - rank(b.GetKind()) })
	return out
}

func identity(o Object) string {
	return o.GroupVersionKind().Group + "/" + o.ID()
}

// Images returns the container images that the objects' Pods ask for, sorted, each once.
func Images(objects []Object) []string {
	var images []string
	for _, o := range objects {
		spec, ok := podSpec(o)
		if !ok {
			continue
		}
		for _, field := range []string{"initContainers", "containers", "ephemeralContainers"} {
			for _, c := range maps(spec[field]) {
				if s, ok := c["image"].(string); ok && s != "" {
					images = append(images, s)
				}
			}
		}
		for _, v := range maps(spec["volumes"]) {
			if s, ok, _ := unstructured.NestedString(v, "image", "reference"); ok && s != "" {
				images = append(images, s)
			}
		}
	}
	slices.Sort(images)
	return slices.Compact(images)
}

// podSpec finds the Pod in an object that makes Pods, or is one.
func podSpec(o Object) (map[string]any, bool) {
	var path []string
	switch o.GetKind() {
	case "Pod":
		path = []string{"spec"}
	case "CronJob":
		path = []string{"spec", "jobTemplate", "spec", "template", "spec"}
	default:
		path = []string{"spec", "template", "spec"}
	}
	spec, ok, _ := unstructured.NestedMap(o.Object, path...)
	return spec, ok
}

func maps(v any) []map[string]any {
	var out []map[string]any
	list, _ := v.([]any)
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}
