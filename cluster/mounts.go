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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// PolicyMounts is the name of the admission policy that mounts host folders into Pods.
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
	byImage := map[string]map[string]string{probeImage: {"volume": "mount-probe", "host": nodeMountDir, "path": "/probe"}}
	points := map[string][]string{probeImage: {}}
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
	objects, err = policyOf(mountsTemplate, literals)
	return objects, version, err
}

// SetMounts has these folders mounted into every container of their images, in all Pods that are made from now on, whoever
// makes them; no others. It returns when that is so. Pods that there are stay as they are.
func (c *Client) SetMounts(ctx context.Context, mounts []Mount) error {
	p := comingPolicy{name: PolicyMounts, annotation: AnnotationMounts, what: "mounts"}
	if len(mounts) == 0 {
		return c.removePolicy(ctx, p)
	}
	objects, version, err := mountPolicy(mounts)
	if err != nil {
		return err
	}
	return c.setPolicy(ctx, p, objects, version)
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
