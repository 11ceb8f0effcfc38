package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
)

// reloadTag begins the tags under which reloads name images on the node, beside the names that the charts and agents
// ask for: a container restarts in place only when its image's reference changes.
const reloadTag = "dynsandbox-"

// roll is one change of images on its way into the Pods that run them.
type roll struct {
	r         *reloader
	nodes     images.Nodes
	id        string              // what this roll's tags end with
	refs      map[string]bool     // of all images that restart, and of those that changed; normalised
	old       map[string]bool     // those of them that the nodes had before
	workloads []rolled            // that restart
	byRef     map[string][]string // workloads, for people, by reference
	before    Record              // what was known of the images before
	swapped   bool                // Pods may have this roll's images
}

// rolled is a workload that restarts, with its containers' images.
type rolled struct {
	object     cluster.Object
	containers map[string]string // normalised references
}

// newRoll finds out what has to restart for changed images: each workload that has one of them, with all of its containers
// whose images are the workspace's.
func newRoll(r *reloader, changed map[name.Tag]v1.Image, record Record) *roll {
	o := &roll{r: r, nodes: r.session.nodes(), before: record, id: strconv.FormatInt(time.Now().UnixMilli(), 36), refs: map[string]bool{}, old: map[string]bool{}, byRef: map[string][]string{}}
	for tag := range changed {
		o.refs[images.Normalised(tag)] = true
	}
	ours := map[string]bool{}
	for _, s := range r.bring.workspace.found.Services {
		for _, ref := range s.Refs {
			ours[images.Normalised(ref)] = true
		}
	}
	for _, object := range r.bring.workspace.rendered.Objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		w := rolled{object, map[string]string{}}
		hit := false
		for _, container := range containersOf(object) {
			image, _ := container["image"].(string)
			if ref := normalised(image); ours[ref] {
				named, _ := container["name"].(string)
				w.containers[named] = ref
				_, isChanged := taggedAs(changed, ref)
				hit = hit || isChanged
			}
		}
		if !hit {
			continue
		}
		o.workloads = append(o.workloads, w)
		for _, ref := range w.containers {
			o.refs[ref] = true
			o.byRef[ref] = append(o.byRef[ref], object.GetNamespace()+"/"+object.GetName())
		}
	}
	return o
}

func taggedAs(all map[name.Tag]v1.Image, ref string) (v1.Image, bool) {
	for tag, img := range all {
		if images.Normalised(tag) == ref {
			return img, true
		}
	}
	return nil, false
}

// as is a reference with this roll's tag.
func (o *roll) as(ref, suffix string) string {
	return ref[:strings.LastIndexByte(ref, ':')] + ":" + reloadTag + o.id + suffix
}

const before = "-before"

// keepOld names what the nodes have now, so that it can be gone back to.
func (o *roll) keepOld(ctx context.Context) error {
	have, err := o.nodes.Images(ctx)
	if err != nil {
		return err
	}
	tags := map[string]string{}
	for ref := range o.refs {
		if have[ref] != "" {
			o.old[ref] = true
			tags[o.as(ref, before)] = ref
		}
	}
	return o.retag(ctx, tags)
}

// retag gives images further names, on every node: a Pod may be on any.
func (o *roll) retag(ctx context.Context, names map[string]string) error {
	return o.nodes.Each(ctx, func(ctx context.Context, node images.Node) error { return images.Retag(ctx, node, names) })
}

// restart has all workloads run what the references stand for now.
func (o *roll) restart(ctx context.Context) error {
	if len(o.workloads) == 0 {
		return nil
	}
	tags := map[string]string{}
	for _, w := range o.workloads {
		for _, ref := range w.containers {
			tags[o.as(ref, "")] = ref
		}
	}
	if err := o.retag(ctx, tags); err != nil {
		return err
	}
	o.swapped = true
	return o.swap(ctx, "")
}

// swap gives the workloads' Pods the images of this roll with a suffix, all at once.
func (o *roll) swap(ctx context.Context, suffix string) error {
	ctx, cancel := context.WithTimeout(ctx, restartLimit)
	defer cancel()
	var g errgroup.Group
	for _, w := range o.workloads {
		to := map[string]string{}
		for container, ref := range w.containers {
			to[container] = o.as(ref, suffix)
		}
		g.Go(func() error { return o.r.bring.client.SwapImages(ctx, w.object, to, suffix != before) })
	}
	return g.Wait()
}

// undo goes back to what was there before. It runs whatever became of ctx.
func (o *roll) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartLimit)
	defer cancel()
	tags := map[string]string{}
	for ref := range o.old {
		tags[ref] = o.as(ref, before)
	}
	if err := o.retag(ctx, tags); err != nil {
		return fmt.Errorf("go back to the last good version: %w", err)
	}
	if o.swapped {
		if err := o.swap(ctx, before); err != nil {
			return fmt.Errorf("go back to the last good version: %w", err)
		}
	}
	o.r.remember(func(rec *Record) { rec.Images, rec.InPlace = o.before.Images, o.before.InPlace })
	o.forgetOld(ctx)
	return nil
}

// begin notes that nothing is known of the images and of what the workloads' Pods run until the roll is done or undone: a
// bring-up after a session that was killed in between loads them and replaces the Pods.
func (o *roll) begin(rec *Record) {
	rec.Images = maps.Clone(o.before.Images)
	for ref := range o.refs {
		delete(rec.Images, ref)
	}
	o.note(rec, func(cluster.Object) string { return "" })
}

// done notes, for the bring-ups to come, that the workloads' Pods run the newest images though their templates are as
// they were.
func (o *roll) done(rec *Record) {
	o.note(rec, func(w cluster.Object) string { return imagesHash(w, rec.Images) })
}

func (o *roll) note(rec *Record, hash func(cluster.Object) string) {
	standing := maps.Clone(o.before.InPlace)
	if standing == nil {
		standing = map[string]InPlace{}
	}
	for _, w := range o.workloads {
		standing[w.object.ID()] = InPlace{Hash: hash(w.object), Annotation: annotation(w.object, o.before.Images, o.before.InPlace)}
	}
	rec.InPlace = standing
}

// forgetOld removes the names of former reloads that no Pod uses. What they stood for is collected.
func (o *roll) forgetOld(ctx context.Context) {
	err := func() error {
		pods, err := o.r.bring.client.Clientset.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		used := map[string]bool{}
		for _, p := range pods.Items {
			for _, c := range p.Spec.Containers {
				used[normalised(c.Image)] = true
			}
		}
		return o.nodes.Each(ctx, func(ctx context.Context, node images.Node) error {
			have, err := images.NodeImages(ctx, node)
			if err != nil {
				return err
			}
			var gone []string
			for ref := range have {
				if strings.Contains(ref, ":"+reloadTag) && !used[ref] {
					gone = append(gone, ref)
				}
			}
			return images.Untag(ctx, node, gone...)
		})
	}()
	if err != nil && !errors.Is(err, context.Canceled) {
		o.r.session.log.Warn("names of former reloads stay on the nodes until the next", "error", err)
	}
}

// said says how a service came into the platform.
func (o *roll) said(s images.Service) string {
	var where []string
	for _, ref := range s.Refs {
		where = append(where, o.byRef[images.Normalised(ref)]...)
	}
	slices.Sort(where)
	where = slices.Compact(where)
	if len(where) == 0 {
		return "the next request runs it"
	}
	return "restarted in place: " + strings.Join(where, ", ")
}
