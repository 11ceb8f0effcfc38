package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// fieldManager owns the fields that the sandbox applies.
const fieldManager = "dynsandbox"

// Report is what an apply did, each object by its [Object.ID].
type Report struct {
	Created   []string   `json:"created,omitempty"`
	Changed   []string   `json:"changed,omitempty"`
	Unchanged []string   `json:"unchanged,omitempty"`
	Skipped   []Omission `json:"skipped,omitempty"` // of a kind that the cluster doesn't have
}

// Apply brings the objects into the cluster by server-side apply, in [Order], those of one kind at the same time.
// Every object gets the sandbox's label. Objects of a kind that the cluster doesn't know are skipped and reported.
// What isn't in the list is left alone.
func (c *Client) Apply(ctx context.Context, objects []Object) (Report, error) {
	return c.apply(ctx, objects, nil)
}

// DryRun does what [Client.Apply] does, but for keeping the result. In a cluster that lacks the objects' namespaces
// it fails: those aren't made either.
func (c *Client) DryRun(ctx context.Context, objects []Object) (Report, error) {
	return c.apply(ctx, objects, []string{metav1.DryRunAll})
}

func (c *Client) apply(ctx context.Context, objects []Object, dryRun []string) (Report, error) {
	var (
		report Report
		mu     sync.Mutex
		done   atomic.Int64
	)
	ordered := Order(objects)
	for begin := 0; begin < len(ordered); {
		end := begin
		for end < len(ordered) && rank(ordered[end].GetKind()) == rank(ordered[begin].GetKind()) {
			end++
		}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(8)
		for _, o := range ordered[begin:end] {
			g.Go(func() error {
				err := c.applyOne(gctx, o, dryRun, &report, &mu)
				progress.Report(ctx, progress.Update{What: "apply " + o.ID(), Done: done.Add(1), Total: int64(len(ordered)), Unit: "steps"})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return report, err
		}
		begin = end
	}
	return report, nil
}

func (c *Client) applyOne(ctx context.Context, o Object, dryRun []string, report *Report, mu *sync.Mutex) error {
	id := o.ID()
	at := ""
	if o.Template != "" {
		at = " (" + o.Template + ")"
	}
	resource, err := c.resource(o)
	if meta.IsNoMatchError(err) {
		mu.Lock()
		defer mu.Unlock()
		report.Skipped = append(report.Skipped, Omission{o.GetKind(), o.GetNamespace(), o.GetName(), o.Chart,
			"the cluster has no " + o.GroupVersionKind().GroupKind().String()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the API of %s%s: %w", id, at, err)
	}
	u := o.DeepCopy()
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[engine.LabelSandbox] = c.sandbox
	u.SetLabels(labels)

	before, err := resource.Get(ctx, u.GetName(), metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("get %s%s: %w", id, at, err)
	}
	// Forced: whoever else set a field that the workspace sets, the workspace wins.
	after, err := resource.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: fieldManager, Force: true, DryRun: dryRun})
	if err != nil {
		return fmt.Errorf("apply %s%s: %w", id, at, err)
	}
	mu.Lock()
	defer mu.Unlock()
	switch {
	case before == nil:
		report.Created = append(report.Created, id)
	case same(before, after, dryRun != nil):
		report.Unchanged = append(report.Unchanged, id)
	default:
		report.Changed = append(report.Changed, id)
	}
	return nil
}

// resource finds where in the API an object belongs, by discovery; asked again once when its kind isn't known yet,
// as a CustomResourceDefinition may have been applied since.
func (c *Client) resource(o Object) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		c.mapper.Reset()
		mapping, err = c.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() != meta.RESTScopeNameNamespace {
		return c.Dynamic.Resource(mapping.Resource), nil
	}
	namespace := o.GetNamespace()
	if namespace == "" {
		namespace = releaseNamespace
	}
	return c.Dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

// same reports whether an apply changed nothing. After a real one the resource version says so; a dry run doesn't
// count it up.
func same(before, after *unstructured.Unstructured, dryRun bool) bool {
	if !dryRun {
		return before.GetResourceVersion() == after.GetResourceVersion()
	}
	a, b := before.DeepCopy(), after.DeepCopy()
	for _, u := range []*unstructured.Unstructured{a, b} {
		u.SetManagedFields(nil)
		u.SetResourceVersion("")
	}
	return equality.Semantic.DeepEqual(a.Object, b.Object)
}
