package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// roll is one change of images on its way into the Pods that run them: the smallest that can succeed or fail by itself.
type roll struct {
	r         *reloader
	nodes     images.Nodes
	id        string                    // what this roll's tags end with
	built     []images.Built            // what changed
	changed   map[string]images.Service // the same, by normalised reference
	workloads []rolled                  // that restart
	before    Record                    // what was known of the images before
	mounted   bool                      // the mounts bring what changed; its images follow
	staged    bool                      // the nodes have what changed under this roll's tags
	unnamed   error                     // why they may not have it under its own names, though the Pods run it
	swapped   bool                      // Pods may have this roll's images
	kept      []string                  // services whose mounted folder was written anew
	task      *task
}

// rolled is a workload that restarts, with its containers' images.
type rolled struct {
	object     cluster.Object
	containers map[string]string // normalised references
}

// failure is why a roll's Pods don't run what they should.
type failure struct {
	err    error
	guilty map[string]bool // services whose containers didn't start; none when it was for another reason
}

// restartLimit is how long a container that was restarted in place may take to be ready.
const restartLimit = 60 * time.Second

// restart has all workloads run what changed. Only when they do, it gets its own names: until then Jobs, and Pods that are
// made anew, run what they ran before. Others have the work meanwhile.
func (o *roll) restart(ctx context.Context) *failure {
	tags := map[string]string{} // of the images that didn't change
	for _, w := range o.workloads {
		for _, ref := range w.containers {
			if _, changed := o.changed[ref]; !changed || !o.staged {
				tags[as(ref, o.id)] = ref
			}
		}
	}
	if err := o.nodes.Retag(ctx, tags); err != nil {
		return &failure{err: err}
	}
	if f := o.swapAll(ctx); f != nil || !o.staged {
		return f
	}
	names := map[string]string{}
	for ref := range o.changed {
		names[ref] = as(ref, o.id)
	}
	// Not undone: the Pods run it well, and some of the names may have moved.
	o.unnamed = o.nodes.Retag(ctx, names)
	return nil
}

// ids names the workloads that restart.
func (o *roll) ids() (ids []string) {
	for _, w := range o.workloads {
		ids = append(ids, w.object.ID())
	}
	return ids
}

// swapAll has all workloads run the images that have this roll's tag.
func (o *roll) swapAll(ctx context.Context) *failure {
	o.swapped = true
	errs := o.swap(ctx, func(ref string) string { return as(ref, o.id) }, true)
	f := &failure{err: errors.Join(errs...), guilty: map[string]bool{}}
	if f.err == nil {
		return nil
	}
	said := map[string]bool{} // several workloads may have the same container: one log is enough
	var first []error
	for i, w := range o.workloads {
		if key := o.blame(f, w, errs[i]); key != "" && !said[key] {
			said[key] = true
			first = append(first, errs[i])
		}
	}
	f.err = errors.Join(first...)
	return f
}

// blame notes whose container didn't start in a workload: that of a changed image, else all that changed in it. It returns
// what tells failures apart.
func (o *roll) blame(f *failure, w rolled, err error) string {
	var died *cluster.Died
	var timeout *fault.Timeout
	switch {
	case err == nil:
		return ""
	case errors.As(err, &died):
		ref := w.containers[died.Container]
		if s, ok := o.changed[ref]; ok {
			f.guilty[s.Name] = true
			return ref
		}
	case !errors.As(err, &timeout):
		return err.Error()
	}
	for _, ref := range w.containers {
		if s, ok := o.changed[ref]; ok {
			f.guilty[s.Name] = true
		}
	}
	return w.object.ID()
}

// swap gives the workloads' Pods other names of their images, all at once. It returns an error, or nil, for each.
func (o *roll) swap(ctx context.Context, name func(ref string) string, failFast bool) []error {
	ctx, cancel := context.WithTimeout(ctx, restartLimit)
	defer cancel()
	ctx = o.task.doing(ctx, "wait for its Pods to be ready again")
	if failFast { // else it goes back to what ran before
		var done func()
		ctx, done = o.task.patient(ctx)
		defer done()
	}
	errs := make([]error, len(o.workloads))
	var g errgroup.Group
	for i, w := range o.workloads {
		to := map[string]string{}
		for container, ref := range w.containers {
			to[container] = name(ref)
		}
		g.Go(func() error {
			errs[i] = orNewer(ctx, o.r.bring.client.SwapImages(ctx, w.object, to, failFast))
			return nil
		})
	}
	g.Wait() //nolint:errcheck // the functions keep their errors
	return errs
}

// undo goes back to what was there before. It runs whatever became of ctx.
func (o *roll) undo(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartLimit)
	defer cancel()
	if err := o.unmount(); err != nil {
		return fmt.Errorf("go back to the last good version: %w", err)
	}
	if o.swapped { // the images' own names stand for what they stood for
		var errs []error
		o.r.session.work.meanwhile(func() { errs = o.swap(ctx, func(ref string) string { return ref }, false) })
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("go back to the last good version: %w", err)
		}
	}
	o.r.remember(func(rec *Record) {
		rec.InPlace = orMade(rec.InPlace)
		for _, w := range o.workloads {
			id := w.object.ID()
			if was, ok := o.before.InPlace[id]; ok {
				rec.InPlace[id] = was
			} else {
				delete(rec.InPlace, id)
			}
		}
	})
	return nil
}

// begin notes that it isn't known what the workloads' Pods run until the roll is done or undone: a bring-up after a session
// that was killed in between replaces them.
func (o *roll) begin(rec *Record) {
	o.noteInPlace(rec, func(cluster.Object) string { return "" })
}

// forgetImages notes that nothing is known of images: they are loaded again.
func forgetImages(rec *Record, built []images.Built) {
	rec.Images = orMade(rec.Images)
	for ref := range images.Tagged(built) {
		delete(rec.Images, images.Normalised(ref))
	}
}

// done notes, for the bring-ups to come, that the workloads' Pods run the newest images though their templates are as
// they were.
func (o *roll) done(rec *Record) {
	forgetImages(rec, o.built)
	for _, b := range o.built {
		for _, ref := range b.Service.Refs {
			if id, err := b.Image.ConfigName(); err == nil && o.unnamed == nil { // else the next bring-up loads it
				rec.Images[images.Normalised(ref)] = Image{Digest: digestOf(b), ID: id.String()}
			}
		}
	}
	o.noteInPlace(rec, func(w cluster.Object) string { return imagesHash(w, rec.Images) })
}

func (o *roll) noteInPlace(rec *Record, hash func(cluster.Object) string) {
	rec.InPlace = orMade(rec.InPlace)
	for _, w := range o.workloads {
		rec.InPlace[w.object.ID()] = InPlace{Hash: hash(w.object), Annotation: annotation(w.object, o.before.Images, o.before.InPlace)}
	}
}

// orMade is a copy of a map, for others may read the map itself.
func orMade[V any](m map[string]V) map[string]V {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]V{}
	}
	return out
}

// said says how a service came into the platform.
func (o *roll) said(s images.Service) string {
	var where []string
	for _, w := range o.workloads {
		for _, ref := range w.containers {
			if o.changed[ref].Name == s.Name {
				where = append(where, w.object.GetNamespace()+"/"+w.object.GetName())
			}
		}
	}
	slices.Sort(where)
	where = slices.Compact(where)
	how := ""
	if o.mounted {
		how = "mounted; "
	}
	if len(where) == 0 {
		return how + "whatever starts next runs it"
	}
	return how + "restarted in place: " + strings.Join(where, ", ")
}
