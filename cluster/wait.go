package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// WaitReady watches until every Deployment, StatefulSet and DaemonSet among the objects is rolled out: the newest
// generation seen by its controller, and all its Pods up to date and available. Nothing else is waited for: a claim
// that nobody mounts stays Pending for good, and Jobs end when they like.
//
// It reports how far it is, and at once what keeps a Pod from starting. When ctx's deadline passes the error is a
// *fault.Timeout that names one workload, with its Pods' events and the end of a crashed container's log.
func (c *Client) WaitReady(ctx context.Context, objects []Object) error {
	waiting, order := workloads(objects)
	total := int64(len(waiting))
	last := map[string]string{} // what was last seen of each workload
	// For a platform that runs this is all. It also bounds how old an informer's own first list can be: that one
	// may come from before the objects were applied otherwise.
	c.dropReady(ctx, waiting, last)
	if len(waiting) == 0 {
		return nil
	}

	began := time.Now()
	events := make(chan any, 256)
	// The informers end before WaitReady returns; their own context, so that the caller's may live on.
	ictx, stop := context.WithCancel(ctx)
	factory := informers.NewSharedInformerFactory(c.Clientset, 0)
	defer factory.Shutdown()
	defer stop()
	send := func(o any) {
		select {
		case events <- o:
		case <-ictx.Done():
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: send, UpdateFunc: func(_, o any) { send(o) }}
	for _, i := range []cache.SharedIndexInformer{
		factory.Apps().V1().Deployments().Informer(), factory.Apps().V1().StatefulSets().Informer(),
		factory.Apps().V1().DaemonSets().Informer(), factory.Core().V1().Pods().Informer(),
	} {
		if _, err := i.AddEventHandler(handler); err != nil {
			return fmt.Errorf("watch workloads: %w", err)
		}
	}
	factory.Start(ictx.Done())

	tell := func() {
		what := "all are available"
		if len(waiting) > 0 {
			what = "wait for " + strings.Join(slices.DeleteFunc(slices.Clone(order), func(key string) bool { return waiting[key].Unstructured == nil }), ", ")
		}
		progress.Report(ctx, progress.Update{What: what, Done: total - int64(len(waiting)), Total: total, Unit: "workloads"})
	}
	tell()
	told := map[string]string{} // what was last reported of each Pod
	for len(waiting) > 0 {
		select {
		case <-ctx.Done():
			for _, key := range order {
				if o, ok := waiting[key]; ok && errors.Is(ctx.Err(), context.DeadlineExceeded) {
					return &fault.Timeout{WaitedFor: o.ID() + " to be available", LastSeen: c.diagnose(ctx, o, last[key]), After: time.Since(began)}
				}
			}
			return fmt.Errorf("wait for workloads: %w", ctx.Err())
		case e := <-events:
			if p, ok := e.(*corev1.Pod); ok {
				key := p.Namespace + "/" + p.Name
				if problem := podProblem(p); problem != told[key] {
					told[key] = problem
					if problem != "" {
						progress.Report(ctx, progress.Update{What: "Pod " + key + ": " + problem, Done: total - int64(len(waiting)), Total: total, Unit: "workloads"})
					}
				}
				continue
			}
			key, ready, seen := rollout(e)
			if _, ok := waiting[key]; !ok {
				continue
			}
			last[key] = seen
			if ready {
				delete(waiting, key)
				tell()
			}
		}
	}
	return nil
}

// workloads are those among objects, by key, and the keys in the objects' order.
func workloads(objects []Object) (byKey map[string]Object, order []string) {
	byKey = map[string]Object{}
	for _, o := range objects {
		if IsWorkload(o) {
			key := workloadKey(o.GetKind(), namespaceOf(o), o.GetName())
			if _, ok := byKey[key]; !ok {
				order = append(order, key)
			}
			byKey[key] = o
		}
	}
	return byKey, order
}

func namespaceOf(o Object) string {
	if n := o.GetNamespace(); n != "" {
		return n
	}
	return releaseNamespace
}

// selectorOf returns the labels by which a rendered workload finds its Pods.
func selectorOf(o Object) string {
	spec, _ := o.Object["spec"].(map[string]any)
	raw, _ := spec["selector"].(map[string]any)
	match, _ := raw["matchLabels"].(map[string]any)
	set := map[string]string{}
	for k, v := range match {
		if s, ok := v.(string); ok {
			set[k] = s
		}
	}
	return metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: labels.Set(set)})
}

// IsWorkload reports whether an object keeps Pods running.
func IsWorkload(o Object) bool {
	switch o.GetKind() {
	case "Deployment", "StatefulSet", "DaemonSet":
		return true
	}
	return false
}
