package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"k8s.io/apimachinery/pkg/util/wait"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Retag gives images on a node further names: by new reference the existing one, both normalised. A name that stood
// for another image moves. Nothing is sent.
func (n *Node) Retag(ctx context.Context, names map[string]string) error {
	ctx = inNamespace(ctx)
	for _, to := range slices.Sorted(maps.Keys(names)) {
		img, err := n.containerd.ImageService().Get(ctx, names[to])
		if err != nil {
			return fmt.Errorf("name an image on the node: %w", err)
		}
		config, err := img.Config(ctx, n.containerd.ContentStore(), platforms.All)
		if err != nil {
			return fmt.Errorf("name image %s on the node: %w", names[to], err)
		}
		if err := n.name(ctx, images.Image{Name: to, Target: img.Target}, config.Digest.String()); err != nil {
			return err
		}
	}
	return nil
}

// Untag removes names from a node, those that it has, and the IDs of images that have no other name then. What neither a name
// nor a container holds any more is collected.
func (n *Node) Untag(ctx context.Context, refs ...string) error {
	ctx = inNamespace(ctx)
	if err := n.remove(ctx, refs); err != nil {
		return err
	}
	_, err := n.removeOldIDs(ctx)
	return err
}

func (n *Node) remove(ctx context.Context, refs []string) error {
	for _, ref := range refs {
		if err := n.containerd.ImageService().Delete(ctx, ref); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove name %s from the node: %w", ref, err)
		}
	}
	return nil
}

// seenLimit is how long the CRI may take to know a name. It takes milliseconds, but seconds while containerd starts.
const seenLimit = 30 * time.Second

// name gives an image its name, and waits until the kubelet finds it so: the CRI learns names from containerd's events. id is the
// image's ID there, its configuration's digest.
func (n *Node) name(ctx context.Context, img images.Image, id string) error {
	_, err := n.containerd.ImageService().Create(ctx, img)
	if errdefs.IsAlreadyExists(err) {
		_, err = n.containerd.ImageService().Update(ctx, img)
	}
	if err != nil {
		return fmt.Errorf("name image %s on the node: %w", img.Name, err)
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 2*time.Millisecond, seenLimit, true, func(ctx context.Context) (bool, error) {
		status, err := n.kubelet.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: img.Name}})
		last = err
		return err == nil && status.GetImage().GetId() == id, nil
	})
	if err != nil {
		return fmt.Errorf("name image %s on the node: the kubelet doesn't find it: %w", img.Name, errors.Join(err, last))
	}
	return nil
}

// removeOldIDs removes the IDs of images for which there is no other name any more, since their tags moved, and of which no
// container was made. It returns them.
//
// containerd's CRI gives every image its ID ("sha256:" and the configuration's digest) as a second name. It leaves
// the removal to the kubelet, which kind tells never to collect images: the name would keep the image for good.
func (n *Node) removeOldIDs(ctx context.Context) ([]string, error) {
	list, err := n.containerd.ImageService().List(ctx)
	if err != nil {
		return nil, err
	}
	containers, err := n.containerd.ContainerService().List(ctx)
	if err != nil {
		return nil, err
	}
	used, named := map[string]bool{}, map[string]bool{}
	for _, c := range containers {
		used[c.Image] = true
	}
	for _, img := range list {
		if !isID(img.Name) {
			named[img.Target.Digest.String()] = true
		}
	}
	var old []string
	for _, img := range list {
		if isID(img.Name) && !named[img.Target.Digest.String()] && !used[img.Name] {
			old = append(old, img.Name)
		}
	}
	slices.Sort(old)
	return old, n.remove(ctx, old)
}

func isID(ref string) bool { return strings.HasPrefix(ref, "sha256:") }
