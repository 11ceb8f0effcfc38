package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// Prune removes from the cluster what was once applied and isn't among the objects, which are all that is wanted, and
// returns it by [Object.ID]. It asks the cluster and remembers nothing, so that nothing stays for good because whoever
// applied it is gone. As with Helm, what has the annotation helm.sh/resource-policy: keep stays. So do the cluster's own
// admission policies.
func (c *Client) Prune(ctx context.Context, objects []Object) ([]string, error) {
	wanted, err := c.wanted(objects)
	if err != nil {
		return nil, err
	}
	resources, err := c.removable()
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var gone []string
	var errs []error
	var g errgroup.Group
	g.SetLimit(16)
	for _, resource := range resources {
		g.Go(func() error {
			removed, err := c.pruneKind(ctx, resource, wanted)
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, removed...)
			errs = append(errs, err)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // the functions keep their errors
	slices.Sort(gone)
	return gone, errors.Join(errs...)
}

// wanted returns the places of what stays, by place.key.
func (c *Client) wanted(objects []Object) (map[string]bool, error) {
	wanted := map[string]bool{}
	for _, o := range objects {
		p, err := c.place(o)
		if meta.IsNoMatchError(err) {
			continue // of a kind that the cluster doesn't have
		}
		if err != nil {
			return nil, fmt.Errorf("find the API of %s: %w", o.ID(), err)
		}
		wanted[p.key(o.GetName())] = true
	}
	return wanted, nil
}

// removable returns everything in the cluster's API that can be listed and removed, as the client knows it from before.
func (c *Client) removable() ([]schema.GroupVersionResource, error) {
	lists, err := discovery.ServerPreferredResources(c.kinds)
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) { // one whose server is away hides no other
		return nil, fmt.Errorf("find the cluster's kinds: %w", err)
	}
	var out []schema.GroupVersionResource
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists) {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, r := range list.APIResources {
			out = append(out, gv.WithResource(r.Name))
		}
	}
	return out, nil
}

func (c *Client) pruneKind(ctx context.Context, resource schema.GroupVersionResource, wanted map[string]bool) (gone []string, err error) {
	list, err := c.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: engine.LabelSandbox + "=" + c.sandbox})
	if apierrors.IsNotFound(err) {
		return nil, nil // its CustomResourceDefinition was removed meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", resource.Resource, err)
	}
	background := metav1.DeletePropagationBackground
	var errs []error
	for i := range list.Items {
		o := Object{Unstructured: &list.Items[i]}
		p := place{resource, o.GetNamespace()}
		if wanted[p.key(o.GetName())] || !appliedByUs(o) || isPolicy(o) || o.GetDeletionTimestamp() != nil || o.Kept() {
			continue
		}
		err := c.at(p).Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
		if err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, fmt.Errorf("remove %s: %w", o.ID(), err))
			continue
		}
		gone = append(gone, o.ID())
	}
	return gone, errors.Join(errs...)
}

// isPolicy tells the sandbox's own admission policies and their bindings, which come and go by other rules.
func isPolicy(o Object) bool {
	return o.GroupVersionKind().Group == "admissionregistration.k8s.io" && strings.HasSuffix(o.GetName(), ".dynsandbox.dev")
}

// appliedByUs tells what was applied from what controllers made of it, which may carry its labels: the EndpointSlices of a
// Service do.
func appliedByUs(o Object) bool {
	return slices.ContainsFunc(o.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool {
		return m.Manager == fieldManager && m.Operation == metav1.ManagedFieldsOperationApply
	})
}
