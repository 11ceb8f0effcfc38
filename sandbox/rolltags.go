package sandbox

import (
	"context"
	"errors"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/images"
)

// reloadTag begins the tags under which reloads name images on the nodes, beside the names that the charts and agents
// ask for: a container restarts in place only when its image's reference changes.
const reloadTag = "dynsandbox-"

// before ends the tags of what a roll replaces.
const before = "-before"

// as is a reference with the tag of a roll.
func as(ref, id string) string {
	return ref[:strings.LastIndexByte(ref, ':')] + ":" + reloadTag + id
}

// keepOld names what the nodes have now, so that it can be gone back to.
func keepOld(ctx context.Context, nodes images.Nodes, rolls []*roll) error {
	have, err := nodes.Images(ctx)
	if err != nil {
		return err
	}
	tags := map[string]string{}
	for _, o := range rolls {
		for ref := range o.refs() {
			if have[ref] != "" {
				o.old[ref] = true
				tags[as(ref, o.id+before)] = ref
			}
		}
	}
	return nodes.Retag(ctx, tags)
}

// forgetOld removes the names of former reloads that no Pod uses. What they stood for is collected. It runs whatever
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
				if strings.Contains(ref, ":"+reloadTag) && !used[ref] {
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
