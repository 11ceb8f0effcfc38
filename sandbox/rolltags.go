package sandbox

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/images"
)

// reloadTag begins the tags under which reloads name images on the nodes, beside the names that the charts and agents
// ask for: a container restarts in place only when its image's reference changes.
const reloadTag = "dynsandbox-"

// as is a reference with the tag of a roll.
func as(ref, id string) string {
	return ref[:strings.LastIndexByte(ref, ':')] + ":" + reloadTag + id
}

// stage returns what is to be loaded for rolls: what workloads must run first, under the rolls' tags.
func stage(rolls []*roll) map[name.Tag]v1.Image {
	staged := map[name.Tag]v1.Image{}
	for _, o := range rolls {
		o.staged = len(o.workloads) > 0
		for _, b := range o.built {
			for _, ref := range b.Service.Refs {
				if o.staged {
					ref = ref.Tag(reloadTag + o.id)
				}
				staged[ref] = b.Image
			}
		}
	}
	return staged
}

// forgetOld removes the names of former reloads that no Pod uses, and no proof or change that is under way needs. What they stood for is collected. It runs whatever
// became of ctx.
func (r *reloader) forgetOld(ctx context.Context, nodes images.Nodes) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askLimit)
	defer cancel()
	err := func() error {
		pods, err := r.bring.client.Clientset.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		used := map[string]bool{}
		for _, p := range r.proofs.all() {
			for ref := range p.before {
				used[as(ref, provenTag)] = true
			}
		}
		var tags []string
		for _, t := range r.session.work.underWay() {
			tags = append(tags, t.tag)
		}
		for _, p := range pods.Items {
			for _, c := range p.Spec.Containers {
				used[normalised(c.Image)] = true
			}
		}
		return nodes.Each(ctx, func(ctx context.Context, node *images.Node) error {
			have, err := node.Images(ctx)
			if err != nil {
				return err
			}
			var gone []string
			for ref := range have {
				_, tag, ours := strings.Cut(ref, ":"+reloadTag)
				if ours && !used[ref] && !slices.Contains(tags, tag) {
					gone = append(gone, ref)
				}
			}
			return node.Untag(ctx, gone...)
		})
	}()
	if err != nil && !errors.Is(err, context.Canceled) {
		r.session.log.Warn("names of former reloads stay on the nodes until the next", "error", err)
	}
}
