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
	old       map[string]bool           // references that the nodes had before, those of unchanged images in the workloads too
	workloads []rolled                  // that restart
	before    Record                    // what was known of the images before
	swapped   bool                      // Pods may have this roll's images
	kept      []string                  // services whose mounted folder was written anew
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

// refs returns the references of all images that restart, and of those that changed.
func (o *roll) refs() map[string]bool {
	all := map[string]bool{}
	for ref := range o.changed {
		all[ref] = true
	}
	for _, w := range o.workloads {
		for _, ref := range w.containers {
			all[ref] = true
		}
	}
	return all
}

// restart has all workloads run what the references stand for now.
func (o *roll) restart(ctx context.Context) *failure {
	if f := o.mount(); f != nil || len(o.workloads) == 0 {
		return f
	}
	tags := map[string]string{}
	for _, w := range o.workloads {
		for _, ref := range w.containers {
			tags[as(ref, o.id)] = ref
		}
	}
	if err := o.nodes.Retag(ctx, tags); err != nil {
		return &failure{err: err}
	}
	return o.swapAll(ctx)
}

// swapAll has all workloads run the images that have this roll's tag.
func (o *roll) swapAll(ctx context.Context) *failure {
	o.swapped = true
	errs := o.swap(ctx, o.id, true)
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

// swap gives the workloads' Pods the images with a tag, all at once. It returns an error, or nil, for each.
func (o *roll) swap(ctx context.Context, tag string, failFast bool) []error {
	ctx, cancel := context.WithTimeout(ctx, restartLimit)
	defer cancel()
	errs := make([]error, len(o.workloads))
	var g errgroup.Group
	for i, w := range o.workloads {
		to := map[string]string{}
		for container, ref := range w.containers {
			to[container] = as(ref, tag)
		}
		g.Go(func() error {
			errs[i] = o.r.bring.client.SwapImages(ctx, w.object, to, failFast)
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
	tags := map[string]string{}
	for ref := range o.changed {
		if o.old[ref] {
			tags[ref] = as(ref, o.id+before)
		}
	}
	if err := errors.Join(o.nodes.Retag(ctx, tags), o.unmount()); err != nil {
		return fmt.Errorf("go back to the last good version: %w", err)
	}
	if o.swapped {
		if err := errors.Join(o.swap(ctx, o.id+before, false)...); err != nil {
			return fmt.Errorf("go back to the last good version: %w", err)
		}
	}
	o.r.remember(func(rec *Record) {
		o.noteImages(rec, o.before.Images)
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

// begin notes that nothing is known of the images and of what the workloads' Pods run until the roll is done or undone: a
// bring-up after a session that was killed in between loads them and replaces the Pods.
func (o *roll) begin(rec *Record) {
	o.noteImages(rec, nil)
	o.noteInPlace(rec, func(cluster.Object) string { return "" })
}

// done notes, for the bring-ups to come, that the workloads' Pods run the newest images though their templates are as
// they were.
func (o *roll) done(rec *Record, loaded []images.Loaded) {
	now := map[string]Image{}
	for _, l := range loaded {
		now[l.Ref] = Image{Digest: l.Digest, ID: l.ConfigDigest}
	}
	o.noteImages(rec, now)
	o.noteInPlace(rec, func(w cluster.Object) string { return imagesHash(w, rec.Images) })
}

// noteImages notes what is known of the images that changed.
func (o *roll) noteImages(rec *Record, known map[string]Image) {
	rec.Images = orMade(rec.Images)
	for ref := range o.changed {
		delete(rec.Images, ref)
		if img, ok := known[ref]; ok {
			rec.Images[ref] = img
		}
	}
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
	if len(where) == 0 {
		return "the next request runs it"
	}
	return "restarted in place: " + strings.Join(where, ", ")
}
