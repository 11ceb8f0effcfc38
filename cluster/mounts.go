package cluster

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	sigsyaml "sigs.k8s.io/yaml"
)

// PolicyMounts is the name of the admission policy that mounts host folders into Pods. It comes and goes with what there
// is to mount, so that it is always created through the API.
const PolicyMounts = "mounts.dynsandbox.dev"

// Mount is a folder of [Config].MountDir that stands in for a folder of an image, in every container of that image.
type Mount struct {
	Folder string   // its name in MountDir
	Images []string // references with tags, normalised ("docker.io/dynamos1/agent:main")
	Path   string   // in the container
	Points []string // absolute paths below Path that the folder has, for volumes of the Pod's own
}

// nodeMountDir is where nodes have [Config].MountDir.
const nodeMountDir = "/dynsandbox/mounts"

// AnnotationMounts tells, on a Pod into which something was mounted, by which version of the policy.
const AnnotationMounts = "dev.dynsandbox/mounts"

// volume is a mount's volume in Pods.
func (m Mount) volume() string {
	name := "mount-" + m.Folder
	if len(validation.IsDNS1123Label(name)) == 0 {
		return name
	}
	sum := sha256.Sum256([]byte(m.Folder))
	return "mount-" + hex.EncodeToString(sum[:8])
}

// spellings are the ways in which a Pod may write a normalised reference.
func spellings(ref string) []string {
	out := []string{ref}
	if short, ok := strings.CutPrefix(ref, "docker.io/"); ok {
		out = append(out, short, "index.docker.io/"+short)
		if official, ok := strings.CutPrefix(short, "library/"); ok {
			out = append(out, official)
		}
	}
	for _, s := range slices.Clone(out) {
		if untagged, ok := strings.CutSuffix(s, ":latest"); ok {
			out = append(out, untagged)
		}
	}
	slices.Sort(out)
	return out
}

// Takes reports whether a container that writes its image so, and has volumes mounted there, gets the mount: as the policy
// decides it.
func (m Mount) Takes(image string, mountPaths ...string) bool {
	if !slices.ContainsFunc(m.Images, func(ref string) bool { return slices.Contains(spellings(ref), image) }) {
		return false
	}
	return !slices.ContainsFunc(mountPaths, func(p string) bool {
		return p == m.Path || strings.HasPrefix(p, m.Path+"/") && !slices.Contains(m.Points, p)
	})
}

//go:embed mounts.yaml
var mountsManifest string

var mountsTemplate = template.Must(template.New("mounts.yaml").Parse(mountsManifest))

// mountPolicy returns the policy for mounts and its binding, and what tells it from those for others.
func mountPolicy(mounts []Mount) (objects []Object, version string, err error) {
	byImage := map[string]map[string]string{}
	points := map[string][]string{}
	for _, m := range mounts {
		for _, ref := range m.Images {
			for _, image := range spellings(ref) {
				byImage[image] = map[string]string{"volume": m.volume(), "host": nodeMountDir + "/" + m.Folder, "path": m.Path}
				points[image] = append([]string{}, m.Points...)
			}
		}
	}
	literals := map[string]string{}
	for name, v := range map[string]any{"ByImage": byImage, "Points": points} {
		b, err := json.Marshal(v) // sorted by key; such a literal is CEL, too
		if err != nil {
			return nil, "", err
		}
		literals[name] = string(b)
	}
	sum := sha256.Sum256([]byte(mountsManifest + literals["ByImage"] + literals["Points"]))
	version = hex.EncodeToString(sum[:8])
	literals["Version"] = version
	var out strings.Builder
	if err := mountsTemplate.Execute(&out, literals); err != nil {
		return nil, "", err
	}
	for _, doc := range strings.Split(out.String(), "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := sigsyaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			return nil, "", fmt.Errorf("read policy %s: %w", PolicyMounts, err)
		}
		objects = append(objects, Object{Unstructured: u})
	}
	return objects, version, nil
}

// mountsWait is how long a policy may take to come into force, or out of it: a second as a rule.
const mountsWait = time.Minute

// SetMounts has these folders mounted into every container of their images, in all Pods that are made from now on, whoever
// makes them; no others. It returns when that is so. Pods that there are stay as they are.
func (c *Client) SetMounts(ctx context.Context, mounts []Mount) error {
	ctx, cancel := context.WithTimeout(ctx, mountsWait)
	defer cancel()
	if len(mounts) == 0 {
		return c.removeMounts(ctx)
	}
	objects, version, err := mountPolicy(mounts)
	if err != nil {
		return err
	}
	report, err := c.Apply(ctx, objects)
	if err != nil {
		return fmt.Errorf("create admission policy: %w", err)
	}
	if len(report.Skipped) > 0 {
		return fmt.Errorf("create admission policy: %s", report.Skipped[0])
	}
	return c.probeMounts(ctx, mounts[0].Images[0], version)
}

// removeMounts removes the policy.
func (c *Client) removeMounts(ctx context.Context) error {
	api := c.Clientset.AdmissionregistrationV1()
	bindingErr := api.MutatingAdmissionPolicyBindings().Delete(ctx, PolicyMounts, metav1.DeleteOptions{})
	policyErr := api.MutatingAdmissionPolicies().Delete(ctx, PolicyMounts, metav1.DeleteOptions{})
	gone := true
	for _, err := range []error{bindingErr, policyErr} {
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("remove admission policy %s: %w", PolicyMounts, err)
		}
		gone = gone && err != nil
	}
	if gone {
		return nil // it was gone before
	}
	return c.probeMounts(ctx, "", "")
}

// probeMounts asks the API server, without making anything, for a Pod with an image until the answer shows that the
// policy's version acts on it.
func (c *Client) probeMounts(ctx context.Context, image, version string) error {
	what := "the mounts to take effect"
	if version == "" {
		what = "the mounts to be over"
	}
	return poll(ctx, what, 100*time.Millisecond, func(ctx context.Context) error {
		p := probe.DeepCopy()
		if image != "" {
			p.Spec.Containers[0].Image = image
		}
		got, err := c.Clientset.CoreV1().Pods(p.Namespace).Create(ctx, p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err != nil {
			return err
		}
		if has := got.Annotations[AnnotationMounts]; has != version {
			return fmt.Errorf("%s: version %q acts, not %q", PolicyMounts, has, version)
		}
		return nil
	})
}

// Mounted reports whether a Pod's container has a folder mounted.
func Mounted(p *corev1.Pod, container, folder string) bool {
	volume := Mount{Folder: folder}.volume()
	for _, c := range p.Spec.Containers {
		if c.Name == container {
			return slices.ContainsFunc(c.VolumeMounts, func(v corev1.VolumeMount) bool { return v.Name == volume })
		}
	}
	return false
}

// ErrNoMounts is the error of a cluster that was made without a folder for mounts, as earlier versions did.
var ErrNoMounts = errors.New("the cluster's nodes don't have the folder of mounts")

// CheckMounts returns an error unless a node has the mounts' folders.
func CheckMounts(ctx context.Context, node Node, mounts []Mount) error {
	argv := []string{"ls", "-d"}
	for _, m := range mounts {
		argv = append(argv, nodeMountDir+"/"+m.Folder)
	}
	if _, err := node.Exec(ctx, nil, argv...); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", ErrNoMounts, err)
	} else if err != nil {
		return err
	}
	return nil
}
