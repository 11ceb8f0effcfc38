package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// waitBase waits for what kind doesn't: Ready nodes, and the ServiceAccount without which no Pod can be made.
func (c *Client) waitBase(ctx context.Context, nodes []string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, name := range nodes {
		g.Go(func() error {
			return waitFor(ctx, c.Clientset.CoreV1().RESTClient(), "nodes", "", name, &corev1.Node{}, "node "+name+" to be Ready",
				func(o runtime.Object) (bool, string) {
					for _, cond := range o.(*corev1.Node).Status.Conditions {
						if cond.Type == corev1.NodeReady {
							return cond.Status == corev1.ConditionTrue, cond.Message
						}
					}
					return false, "no Ready condition yet"
				})
		})
	}
	g.Go(func() error {
		return waitFor(ctx, c.Clientset.CoreV1().RESTClient(), "serviceaccounts", "default", "default", &corev1.ServiceAccount{},
			"the default ServiceAccount", func(runtime.Object) (bool, string) { return true, "" })
	})
	return g.Wait()
}

// WaitDNS waits until CoreDNS is available. [Cluster.Create] doesn't, so that images can be loaded meanwhile.
func (c *Client) WaitDNS(ctx context.Context) error {
	return waitFor(ctx, c.Clientset.AppsV1().RESTClient(), "deployments", "kube-system", "coredns", &appsv1.Deployment{},
		"CoreDNS to be available", func(o runtime.Object) (bool, string) {
			d := o.(*appsv1.Deployment)
			return d.Status.ObservedGeneration >= d.Generation && d.Status.AvailableReplicas > 0,
				fmt.Sprintf("%d of %d Pods available", d.Status.AvailableReplicas, d.Status.Replicas)
		})
}

// waitFor watches the objects of one resource (name "": any) until ok accepts one; ok says also what it saw.
func waitFor(ctx context.Context, client rest.Interface, resource, namespace, name string, kind runtime.Object, what string,
	ok func(runtime.Object) (bool, string)) error {
	selector := fields.Everything()
	if name != "" {
		selector = fields.OneTermEqualSelector("metadata.name", name)
	}
	began, seen := time.Now(), ""
	_, err := watchtools.UntilWithSync(ctx, cache.NewListWatchFromClient(client, resource, namespace, selector), kind, nil,
		func(e watch.Event) (bool, error) {
			if e.Type == watch.Deleted {
				return false, nil
			}
			done, last := ok(e.Object)
			seen = last
			return done, nil
		})
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &fault.Timeout{WaitedFor: what, LastSeen: seen, After: time.Since(began)}
	}
	return fmt.Errorf("wait for %s: %w", what, err)
}
