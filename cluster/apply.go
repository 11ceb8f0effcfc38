package cluster

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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
// What isn't in the list is left alone: see [Client.Prune].
func (c *Client) Apply(ctx context.Context, objects []Object) (Report, error) {
	ordered := Order(objects)
	before, complete, err := c.standing(ctx, ordered)
	if err != nil {
		return Report{}, err
	}
	run := &applying{Client: c, before: before}
	var done atomic.Int64
	for _, stage := range stages(ordered, complete) {
		run.asked = sync.Once{}
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(16)
		for _, o := range stage {
			g.Go(func() error {
				err := run.one(gctx, o)
				progress.Report(ctx, progress.Update{What: "apply " + o.ID(), Done: done.Add(1), Total: int64(len(ordered)), Unit: "steps"})
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return run.report, err
		}
	}
	return run.report, nil
}

// stages divides ordered objects into lists that are applied one after the other: one a rank. Where all of them are
// there already, two do: what Pods read, then what makes Pods.
func stages(ordered []Object, complete bool) [][]Object {
	var out [][]Object
	if complete {
		var read, run []Object
		for _, o := range ordered {
			if _, ok := podSpec(o); ok {
				run = append(run, o)
			} else {
				read = append(read, o)
			}
		}
		return [][]Object{read, run}
	}
	for i, o := range ordered {
		if i == 0 || rank(o.GetKind()) != rank(ordered[i-1].GetKind()) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], o)
	}
	return out
}

// applying is one run of Apply.
type applying struct {
	*Client
	before map[string]string // resource versions, see standing
	asked  sync.Once         // the cluster has been asked anew for its kinds, in this stage

	mu     sync.Mutex
	report Report
}

// labelled is a copy of an object with the sandbox's label.
func (c *Client) labelled(o Object) *unstructured.Unstructured {
	u := o.DeepCopy()
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[engine.LabelSandbox] = c.sandbox
	u.SetLabels(labels)
	return u
}

func (a *applying) one(ctx context.Context, o Object) error {
	id := o.ID()
	at := ""
	if o.Template != "" {
		at = " (" + o.Template + ")"
	}
	p, err := a.place(o)
	if meta.IsNoMatchError(err) {
		// Its CustomResourceDefinition may have been applied since.
		a.asked.Do(a.mapper.Reset)
		p, err = a.place(o)
	}
	if meta.IsNoMatchError(err) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.report.Skipped = append(a.report.Skipped, Omission{o.GetKind(), o.GetNamespace(), o.GetName(), o.Chart,
			"the cluster has no " + o.GroupVersionKind().GroupKind().String()})
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the API of %s%s: %w", id, at, err)
	}
	u := a.labelled(o)
	version := a.before[p.key(u.GetName())]
	if version == "" { // not there, or without our label
		found, err := a.at(p).Get(ctx, u.GetName(), metav1.GetOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("get %s%s: %w", id, at, err)
		}
		if err == nil {
			version = found.GetResourceVersion()
		}
	}
	// Forced: whoever else set a field that the workspace sets, the workspace wins.
	after, err := a.at(p).Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if err != nil {
		return fmt.Errorf("apply %s%s: %w", id, at, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch version {
	case "":
		a.report.Created = append(a.report.Created, id)
	case after.GetResourceVersion():
		a.report.Unchanged = append(a.report.Unchanged, id)
	default:
		a.report.Changed = append(a.report.Changed, id)
	}
	return nil
}
