package cluster

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Prune removes from the cluster what was applied before and isn't wanted any more, and returns it by [Object.ID]. As with
// Helm, what has the annotation helm.sh/resource-policy: keep stays.
func (c *Client) Prune(ctx context.Context, before, now []Object) ([]string, error) {
	wanted := map[string]bool{}
	for _, o := range now {
		wanted[o.ID()] = true
	}
	var gone []string
	var errs []error
	background := metav1.DeletePropagationBackground
	for _, o := range before {
		if wanted[o.ID()] || o.GetAnnotations()["helm.sh/resource-policy"] == "keep" {
			continue
		}
		p, err := c.place(o)
		if meta.IsNoMatchError(err) {
			continue // of a kind that the cluster doesn't have: it was never applied
		}
		if err == nil {
			err = c.at(p).Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove %s: %w", o.ID(), err))
			continue
		}
		gone = append(gone, o.ID())
	}
	return gone, errors.Join(errs...)
}
