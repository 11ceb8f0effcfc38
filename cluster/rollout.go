package cluster

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// dropReady removes from waiting what is rolled out now, and writes to last what it saw of the rest. Lists that fail
// are the watch's to repeat.
func (c *Client) dropReady(ctx context.Context, waiting map[string]Object, last map[string]string) {
	see := func(o any) {
		key, ready, seen := rollout(o)
		if _, ok := waiting[key]; !ok {
			return
		}
		last[key] = seen
		if ready {
			delete(waiting, key)
		}
	}
	apps, all := c.Clientset.AppsV1(), metav1.ListOptions{} // not ResourceVersion 0: as new as the last apply
	if list, err := apps.Deployments(metav1.NamespaceAll).List(ctx, all); err == nil {
		for _, d := range list.Items {
			see(&d)
		}
	}
	if list, err := apps.StatefulSets(metav1.NamespaceAll).List(ctx, all); err == nil {
		for _, s := range list.Items {
			see(&s)
		}
	}
	if list, err := apps.DaemonSets(metav1.NamespaceAll).List(ctx, all); err == nil {
		for _, d := range list.Items {
			see(&d)
		}
	}
}

func workloadKey(kind, namespace, name string) string { return kind + " " + namespace + "/" + name }

// rollout judges a workload by the rules of `kubectl rollout status`.
func rollout(o any) (key string, ready bool, seen string) {
	switch w := o.(type) {
	case *appsv1.Deployment:
		want := replicas(w.Spec.Replicas)
		return workloadKey("Deployment", w.Namespace, w.Name),
			w.Status.ObservedGeneration >= w.Generation && w.Status.UpdatedReplicas >= want && w.Status.AvailableReplicas >= want && w.Status.Replicas == w.Status.UpdatedReplicas,
			fmt.Sprintf("%d of %d Pods up to date, %d available", w.Status.UpdatedReplicas, want, w.Status.AvailableReplicas)
	case *appsv1.StatefulSet:
		want := replicas(w.Spec.Replicas)
		return workloadKey("StatefulSet", w.Namespace, w.Name),
			w.Status.ObservedGeneration >= w.Generation && w.Status.UpdatedReplicas >= want && w.Status.AvailableReplicas >= want,
			fmt.Sprintf("%d of %d Pods up to date, %d available", w.Status.UpdatedReplicas, want, w.Status.AvailableReplicas)
	case *appsv1.DaemonSet:
		want := w.Status.DesiredNumberScheduled
		return workloadKey("DaemonSet", w.Namespace, w.Name),
			w.Status.ObservedGeneration >= w.Generation && w.Status.UpdatedNumberScheduled >= want && w.Status.NumberAvailable >= want,
			fmt.Sprintf("%d of %d Pods up to date, %d available", w.Status.UpdatedNumberScheduled, want, w.Status.NumberAvailable)
	}
	return "", false, ""
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}
