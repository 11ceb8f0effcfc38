package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// services builds what waits, and brings what differs into the platform. What can't be built or doesn't start holds back
// nobody else.
func (r *reloader) services(ctx context.Context, since time.Time) {
	state, err := images.ReadSourceFiles(r.dir) // before they are built
	tools := errgroup.Group{}                   // while they are
	if err == nil {
		settings := r.bring.record.buildSettings()
		tools.Go(func() (err error) {
			state, err = state.WithTools(r.dir, settings...)
			return err
		})
	}
	waiting := r.waiting()
	if len(waiting) > 0 {
		built, err := r.bring.builders().All(ctx, waiting)
		if err != nil {
			r.refuseBuild(waiting, built, err)
		}
		for _, b := range built {
			r.feed.add(&control.Event{Kind: control.Event_BUILT, Service: b.Service.Name, Seconds: b.Took.Seconds(), Text: "built"})
		}
		r.install(ctx, built, since)
	}
	if err := cmp.Or(err, tools.Wait()); err != nil {
		r.session.log.Warn("the next bring-up builds everything again", "error", err)
	} else {
		r.noteSources(state, len(waiting) == len(r.bring.workspace.found.Services))
	}
}

// refuseBuild tells each service that wasn't built why, those with the same cause together.
func (r *reloader) refuseBuild(waiting []images.Service, built []images.Built, err error) {
	done, causes := names(built), images.ErrorsByService(err)
	var texts []error
	left := map[string][]string{}
	for _, s := range waiting {
		if slices.Contains(done, s.Name) {
			continue
		}
		cause := causes[s.Name]
		if cause == nil {
			cause = err
		}
		if left[cause.Error()] == nil {
			texts = append(texts, cause)
		}
		left[cause.Error()] = append(left[cause.Error()], s.Name)
	}
	for _, cause := range texts {
		r.refuse(cause, left[cause.Error()]...)
	}
}

// install brings built services onto the node and into the Pods that run them.
func (r *reloader) install(ctx context.Context, built []images.Built, since time.Time) {
	if len(built) == 0 {
		return
	}
	record, err := r.session.state.Read()
	if err != nil {
		r.refuse(err, names(built)...)
		return
	}
	var fresh []images.Built
	for _, b := range built {
		switch {
		case stands(b, record.Images):
			r.done(b.Service.Name, since, "its image is the same")
		case !r.crashed(b):
			fresh = append(fresh, b)
		}
	}
	for fresh = r.mountIn(ctx, fresh, record, since); len(fresh) > 0; {
		fresh = r.rollOut(ctx, fresh, record, since)
	}
}

// stands reports whether the node has what was built under all of its names.
func stands(b images.Built, have map[string]Image) bool {
	digest := digestOf(b)
	return digest != "" && !slices.ContainsFunc(b.Service.Refs, func(ref name.Tag) bool {
		return have[images.Normalised(ref)].Digest != digest
	})
}

// rollOut loads what was built, and has the workloads run it; those without a service in common succeed or fail by
// themselves. What fails is undone and refused. It returns what failed only because it went together with what was at fault.
func (r *reloader) rollOut(ctx context.Context, built []images.Built, record Record, since time.Time) (again []images.Built) {
	nodes := r.session.nodes()
	rolls := newRolls(r, nodes, built, record)
	defer r.forgetOld(ctx, nodes)
	r.remember(func(rec *Record) {
		rec.Sources = "" // until it is known what all images were built from
		for _, o := range rolls {
			o.begin(rec)
		}
	})
	kept := r.keepProven(ctx, rolls)
	report, err := nodes.Load(ctx, stage(rolls))
	if err != nil {
		for _, o := range rolls {
			if !o.staged { // it may have its names already, on some of the nodes
				r.remember(func(rec *Record) { forgetImages(rec, o.built) })
			}
			r.refuse(errors.Join(err, o.undo(ctx)), names(o.built)...)
		}
		return nil
	}
	if kept {
		r.onProbation(rolls)
	}
	r.feed.add(&control.Event{Kind: control.Event_LOADED, Service: strings.Join(names(built), ", "),
		Text: fmt.Sprintf("%.1f MB sent", float64(report.Bytes)/1e6), Seconds: report.Took.Seconds()})
	failures := restartAll(ctx, rolls)
	for i, o := range rolls {
		if failures[i] != nil {
			again = append(again, r.takeBack(ctx, o, failures[i])...)
			continue
		}
		r.remember(o.done)
		if o.unnamed != nil {
			r.feed.note(fmt.Sprintf("restarted, but Jobs and new Pods may run what was there before; the next up mends it: %v", r.session.scrub(o.unnamed)))
		}
		for _, b := range o.built {
			r.done(b.Service.Name, since, o.said(b.Service))
		}
	}
	return again
}

// takeBack undoes a roll that failed and refuses what was at fault. It returns the others.
func (r *reloader) takeBack(ctx context.Context, o *roll, f *failure) (others []images.Built) {
	undone := o.undo(ctx)
	if undone != nil || len(f.guilty) == 0 || ctx.Err() != nil {
		r.refuse(errors.Join(f.err, undone), names(o.built)...)
		return nil
	}
	var guilty []images.Built
	for _, b := range o.built {
		if f.guilty[b.Service.Name] {
			guilty = append(guilty, b)
		} else {
			others = append(others, b)
		}
	}
	r.refuseCrashed(f.err, guilty...)
	return others
}

func (r *reloader) remember(change func(*Record)) {
	if err := r.bring.remember(change); err != nil {
		r.session.log.Error("the sandbox's record is not up to date", "error", err)
	}
}
