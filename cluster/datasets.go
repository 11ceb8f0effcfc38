package cluster

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/template"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	sigsyaml "sigs.k8s.io/yaml"
)

const (
	// PolicyDatasets is the name of the admission policy that gives Pods their party's data sets. Like [PolicyMounts] it
	// comes and goes with what there is.
	PolicyDatasets = "datasets.dynsandbox.dev"

	// DatasetsPath is where a container has them.
	DatasetsPath = "/app/datasets"

	// AnnotationDatasets tells, on a Pod that has data sets, by which version of the policy.
	AnnotationDatasets = "dev.dynsandbox/datasets"

	// nodeWorkspaceDir is where nodes have [Config].WorkspaceDir. It is mounted whole, so that folders of data sets may come
	// and go.
	nodeWorkspaceDir = "/dynsandbox/workspace"

	datasetsClaim = "dynsandbox-datasets"
)

// Datasets are folders of a workspace with the data of parties, for the services that read them.
type Datasets struct {
	Folders map[string]string // a party's namespace to its folder, relative to the workspace
	Images  []string          // of these services: references with tags, normalised
}

func (d Datasets) none() bool { return len(d.Folders) == 0 || len(d.Images) == 0 }

// namespaces are those of the parties, sorted.
func (d Datasets) namespaces() []string {
	var out []string
	for namespace := range d.Folders {
		out = append(out, namespace)
	}
	slices.Sort(out)
	return out
}

// Objects returns a volume and its claim for each party.
func (d Datasets) Objects() []Object {
	if d.none() {
		return nil
	}
	const size = "1Gi" // of a folder there is no size; Kubernetes wants one
	var out []Object
	for _, namespace := range d.namespaces() {
		volume := datasetsClaim + "-" + namespace
		out = append(out, Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolume",
			"metadata": map[string]any{"name": volume},
			"spec": map[string]any{
				"capacity":                      map[string]any{"storage": size},
				"accessModes":                   []any{"ReadOnlyMany"},
				"persistentVolumeReclaimPolicy": "Retain",
				"claimRef":                      map[string]any{"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": datasetsClaim},
				"hostPath":                      map[string]any{"path": path.Join(nodeWorkspaceDir, d.Folders[namespace]), "type": "Directory"},
			},
		}}}, Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim",
			"metadata": map[string]any{"name": datasetsClaim, "namespace": namespace},
			"spec": map[string]any{
				"accessModes":      []any{"ReadOnlyMany"},
				"resources":        map[string]any{"requests": map[string]any{"storage": size}},
				"storageClassName": "",
				"volumeName":       volume,
			},
		}}})
	}
	return out
}

//go:embed datasets.yaml
var datasetsManifest string

var datasetsTemplate = template.Must(template.New("datasets.yaml").Parse(datasetsManifest))

// policy returns the admission policy and its binding, and what tells it from those for others.
func (d Datasets) policy() (objects []Object, version string, err error) {
	refs := []string{probeImage}
	for _, ref := range d.Images {
		refs = append(refs, spellings(ref)...)
	}
	values := map[string]string{"Path": DatasetsPath, "Claim": datasetsClaim}
	for name, list := range map[string][]string{"Images": refs, "Namespaces": append(d.namespaces(), probe.Namespace)} {
		b, err := json.Marshal(list) // such a literal is CEL, too
		if err != nil {
			return nil, "", err
		}
		values[name] = string(b)
	}
	sum := sha256.Sum256([]byte(datasetsManifest + values["Images"] + values["Namespaces"]))
	values["Version"] = hex.EncodeToString(sum[:8])
	objects, err = policyOf(datasetsTemplate, values)
	return objects, values["Version"], err
}

// SetDatasets has parties' data sets mounted into their Pods, in all that are made from now on, whoever makes them; no
// others. The volumes are among [Datasets.Objects]. It returns when that is so.
func (c *Client) SetDatasets(ctx context.Context, d Datasets) error {
	p := comingPolicy{name: PolicyDatasets, annotation: AnnotationDatasets, what: "data sets"}
	if d.none() {
		return c.removePolicy(ctx, p)
	}
	objects, version, err := d.policy()
	if err != nil {
		return err
	}
	return c.setPolicy(ctx, p, objects, version)
}

// ClearDatasets waits until those volumes and claims that are being deleted, with the last Pods that have them, are gone:
// they can't be made anew before.
func (c *Client) ClearDatasets(ctx context.Context, d Datasets) error {
	ctx, cancel := context.WithTimeout(ctx, policyWait)
	defer cancel()
	for _, o := range d.Objects() {
		p, err := c.place(o)
		if err != nil {
			return fmt.Errorf("find the API of %s: %w", o.ID(), err)
		}
		err = poll(ctx, "the end of the deleted "+o.ID(), 100*time.Millisecond, func(ctx context.Context) error {
			got, err := c.at(p).Get(ctx, o.GetName(), metav1.GetOptions{})
			switch {
			case apierrors.IsNotFound(err):
				return nil
			case err == nil && got.GetDeletionTimestamp() != nil:
				return errors.New("it is still there")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// ErrNoWorkspace is the error of a cluster whose nodes don't have the workspace's folder as it is now: it was made by an
// earlier version, or the folder was removed and made anew since.
var ErrNoWorkspace = errors.New("the cluster's nodes don't have the workspace's folder")

// CheckDatasets returns an error unless a node has the folders.
func CheckDatasets(ctx context.Context, node Node, d Datasets) error {
	if d.none() {
		return nil
	}
	argv := []string{"ls", "-d"}
	for _, namespace := range d.namespaces() {
		argv = append(argv, path.Join(nodeWorkspaceDir, d.Folders[namespace]))
	}
	_, err := node.Exec(ctx, nil, argv...)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrNoWorkspace, err)
	}
	return err
}

// policyOf fills in a manifest of several objects.
func policyOf(manifest *template.Template, values map[string]string) (objects []Object, err error) {
	var out strings.Builder
	if err := manifest.Execute(&out, values); err != nil {
		return nil, err
	}
	for _, doc := range strings.Split(out.String(), "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := sigsyaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			return nil, fmt.Errorf("read policy %s: %w", manifest.Name(), err)
		}
		objects = append(objects, Object{Unstructured: u})
	}
	return objects, nil
}
