package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/cluster"
)

// podTemplate returns the Pod template of an object that has one, or nil.
func podTemplate(o cluster.Object) map[string]any {
	template, _, _ := unstructured.NestedMap(o.Object, "spec", "template")
	return template
}

// containersOf returns the containers of an object's Pod template.
func containersOf(o cluster.Object) []map[string]any {
	list, _, _ := unstructured.NestedSlice(podTemplate(o), "spec", "containers")
	var out []map[string]any
	for _, c := range list {
		if m, ok := c.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// literalEnv returns the value of a container's environment variable that is written in the object.
func literalEnv(container map[string]any, name string) string {
	list, _, _ := unstructured.NestedSlice(container, "env")
	for _, e := range list {
		if m, ok := e.(map[string]any); ok && m["name"] == name {
			v, _ := m["value"].(string)
			return v
		}
	}
	return ""
}

// annotationImages holds, on a Pod template, a hash of the content of the Pod's images: their names stay the same
// when the content moves, and the workload must be replaced all the same.
const annotationImages = "dev.dynsandbox/images"

// pinned returns the object with what makes a Deployment follow the content of its images, and never have two
// Pods at once: each would have a consumer on the same queue, and messages would be lost to the one that ends.
// digests are the images that stand on the node, by reference.
func pinned(o cluster.Object, digests map[string]Image) (cluster.Object, error) {
	if o.GetKind() != "Deployment" {
		return o, nil
	}
	var refs []string
	for _, c := range containersOf(o) {
		if ref, ok := c["image"].(string); ok {
			refs = append(refs, ref)
		}
	}
	slices.Sort(refs)
	h := sha256.New()
	for _, ref := range refs {
		fmt.Fprintf(h, "%s %s\n", ref, digests[normalised(ref)].ID)
	}
	out := cluster.Object{Unstructured: o.DeepCopy(), Chart: o.Chart, Template: o.Template}
	err := unstructured.SetNestedField(out.Object, hex.EncodeToString(h.Sum(nil))[:16], "spec", "template", "metadata", "annotations", annotationImages)
	if err != nil {
		return o, fmt.Errorf("annotate %s: %w", o.ID(), err)
	}
	err = unstructured.SetNestedMap(out.Object, map[string]any{"type": "Recreate"}, "spec", "strategy")
	if err != nil {
		return o, fmt.Errorf("set the strategy of %s: %w", o.ID(), err)
	}
	return out, nil
}

// hashObjects returns what tells two sets of objects apart.
func hashObjects(objects []cluster.Object) (string, error) {
	h := sha256.New()
	for _, o := range objects {
		b, err := o.MarshalJSON()
		if err != nil {
			return "", err
		}
		if _, err := h.Write(append(b, '\n')); err != nil {
			return "", err
		}
	}
	_, err := io.WriteString(h, fmt.Sprint(len(objects)))
	return hex.EncodeToString(h.Sum(nil)), err
}
