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
func containersOf(o cluster.Object) []map[string]any { return containersAt(o, "containers") }

func containersAt(o cluster.Object, field string) []map[string]any {
	list, _, _ := unstructured.NestedSlice(podTemplate(o), "spec", field)
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

// InPlace says of a workload that its Pods run the newest images though its template is older: they were restarted in
// place. As long as the images stay, another template would only replace Pods that are right.
type InPlace struct {
	Hash       string `json:"hash"`       // of the images that its Pods run
	Annotation string `json:"annotation"` // of its template
}

// imagesHash is a hash of the content of a workload's images. digests are the images that stand on the node, by reference.
func imagesHash(o cluster.Object, digests map[string]Image) string {
	var refs []string
	for _, c := range append(containersOf(o), containersAt(o, "initContainers")...) {
		if ref, ok := c["image"].(string); ok {
			refs = append(refs, ref)
		}
	}
	slices.Sort(refs)
	h := sha256.New()
	for _, ref := range refs {
		fmt.Fprintf(h, "%s %s\n", ref, digests[normalised(ref)].ID)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// annotation is what a workload's template has for its images.
func annotation(o cluster.Object, digests map[string]Image, standing map[string]InPlace) string {
	hash := imagesHash(o, digests)
	s, ok := standing[o.ID()]
	if !ok {
		return hash
	}
	if s.Hash == hash {
		return s.Annotation
	}
	// Not the plain hash: the template may have it already, from before the restart in place, and the Pods are others.
	h := sha256.Sum256([]byte(hash + " " + s.Hash + " " + s.Annotation))
	return hex.EncodeToString(h[:])[:16]
}

// steady is a record with which a workload keeps its template while its Pods are being restarted in place.
func steady(record Record, o cluster.Object) Record {
	if was, ok := record.InPlace[o.ID()]; ok {
		record.InPlace = orMade(record.InPlace)
		record.InPlace[o.ID()] = InPlace{Hash: imagesHash(o, record.Images), Annotation: was.Annotation}
	}
	return record
}

// pinned returns the object with what makes a workload follow the content of its images, and a Deployment never have two
// Pods at once, as the others don't anyway: each would have a consumer on the same queue, and messages would be lost to the
// one that ends.
func pinned(o cluster.Object, record Record) (cluster.Object, error) {
	if !cluster.IsWorkload(o) {
		return o, nil
	}
	out := cluster.Object{Unstructured: o.DeepCopy(), Chart: o.Chart, Template: o.Template}
	hash := annotation(o, record.Images, record.InPlace)
	if err := unstructured.SetNestedField(out.Object, hash, "spec", "template", "metadata", "annotations", annotationImages); err != nil {
		return o, fmt.Errorf("annotate %s: %w", o.ID(), err)
	}
	if o.GetKind() != "Deployment" {
		return out, nil
	}
	if err := unstructured.SetNestedMap(out.Object, map[string]any{"type": "Recreate"}, "spec", "strategy"); err != nil {
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

// hurried returns the object with lookups that are made again after one second instead of five when no answer comes, unless
// the workspace has settings of its own for them. When a node comes back, Pods ask before the DNS Service leads anywhere, and
// nobody answers. In all glibc and Go's resolver give it five seconds instead of ten, and musl, which takes the first number
// for the whole, one instead of five. Pods of Jobs are made while names resolve, and don't need it.
func hurried(o cluster.Object) (cluster.Object, error) {
	switch o.GetKind() {
	case "Deployment", "StatefulSet", "DaemonSet":
	default:
		return o, nil
	}
	spec, found, err := unstructured.NestedMap(o.Object, "spec", "template", "spec")
	if err != nil || !found {
		return o, err
	}
	if policy, ok := spec["dnsPolicy"]; ok && policy != "ClusterFirst" {
		return o, nil
	}
	if _, ok := spec["dnsConfig"]; ok {
		return o, nil
	}
	out := cluster.Object{Unstructured: o.DeepCopy(), Chart: o.Chart, Template: o.Template}
	options := []any{map[string]any{"name": "timeout", "value": "1"}, map[string]any{"name": "attempts", "value": "5"}}
	if err := unstructured.SetNestedSlice(out.Object, options, "spec", "template", "spec", "dnsConfig", "options"); err != nil {
		return o, fmt.Errorf("set the lookups of %s: %w", o.ID(), err)
	}
	return out, nil
}
