package cluster

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// place is where in the API an object belongs.
type place struct {
	resource  schema.GroupVersionResource
	namespace string // empty: cluster-wide
}

func (p place) key(name string) string {
	return p.resource.GroupResource().String() + " " + p.namespace + "/" + name
}

// place finds an object's by discovery, which the client keeps.
func (c *Client) place(o Object) (place, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return place{}, err
	}
	p := place{resource: mapping.Resource}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		p.namespace = namespaceOf(o)
	}
	return p, nil
}

// at returns the interface to a place.
func (c *Client) at(p place) dynamic.ResourceInterface {
	if p.namespace == "" {
		return c.Dynamic.Resource(p.resource)
	}
	return c.Dynamic.Resource(p.resource).Namespace(p.namespace)
}

// standing returns the resource versions of what carries the sandbox's label, by place.key, and whether all the
// objects are among it. One list a kind instead of one question an object: a bring-up that changes nothing is
// hardly more than this.
func (c *Client) standing(ctx context.Context, objects []Object) (versions map[string]string, complete bool, err error) {
	var keys []string
	kinds := map[schema.GroupVersionResource]bool{}
	for _, o := range objects {
		p, err := c.place(o)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("find the API of %s: %w", o.ID(), err)
		}
		kinds[p.resource] = true
		keys = append(keys, p.key(o.GetName()))
	}
	var mu sync.Mutex
	versions = map[string]string{}
	g, ctx := errgroup.WithContext(ctx)
	for resource := range kinds {
		g.Go(func() error {
			list, err := c.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: engine.LabelSandbox + "=" + c.sandbox})
			if err != nil {
				return fmt.Errorf("list %s: %w", resource.Resource, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, u := range list.Items {
				versions[place{resource, u.GetNamespace()}.key(u.GetName())] = u.GetResourceVersion()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, false, err
	}
	complete = true
	for _, k := range keys {
		complete = complete && versions[k] != ""
	}
	return versions, complete, nil
}
