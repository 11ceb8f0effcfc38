package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// services brings what waits into the platform. What shares Pods with a change that is under way comes after it.
func (r *reloader) services(ctx context.Context, since time.Time) {
	r.takeIn(ctx, since)
	for len(r.held()) > 0 {
		err := r.session.work.until(ctx, func() bool {
			return r.session.work.alone == 0 && (len(r.held()) == 0 || len(r.free(r.idle(r.held()))) > 0)
		})
		if err != nil || r.session.reloader() != r {
			return
		}
		r.takeIn(ctx, since)
	}
}

// held returns the services that have changed and nobody has taken up since.
func (r *reloader) held() []images.Service {
	return r.pendingWith(func(_ images.Service, c change) bool { return c.told == "" && (!c.underWay || c.again) })
}

// idle returns those of the services of which nothing is under way.
func (r *reloader) idle(services []images.Service) []images.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(services, func(s images.Service) bool { return r.pending[s.Name].underWay })
}

// free returns those of the services whose Pods nobody handles.
func (r *reloader) free(services []images.Service) []images.Service {
	return slices.DeleteFunc(services, func(s images.Service) bool {
		var refs []string
		for _, ref := range s.Refs {
			refs = append(refs, images.Normalised(ref))
		}
		var ids []string
		for _, w := range ourWorkloads(r.bring.workspace) {
			if slices.ContainsFunc(slices.Collect(maps.Values(w.containers)), func(ref string) bool { return slices.Contains(refs, ref) }) {
				ids = append(ids, w.object.ID())
			}
		}
		return len(r.session.work.touching(ids)) > 0
	})
}

// takeUp returns the services that wait and are free, and notes that they are under way.
func (r *reloader) takeUp() []images.Service {
	services := r.free(r.idle(r.waiting()))
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range services {
		r.pending[s.Name].underWay = true
	}
	return services
}

// takeIn builds what waits and is free, and brings what differs into the platform. What can't be built or doesn't start holds back
// nobody else.
func (r *reloader) takeIn(ctx context.Context, since time.Time) {
	r.reads++
	number := r.reads
	state, err := images.ReadSourceFiles(r.dir) // before they are built
	tools := errgroup.Group{}                   // while they are
	if err == nil {
		settings := r.bring.record.buildSettings()
		tools.Go(func() (err error) {
			state, err = state.WithTools(r.dir, settings...)
			return err
		})
	}
	taken := r.takeUp()
	var built []images.Built
	if len(taken) > 0 {
		var of []string
		for _, s := range taken {
			of = append(of, s.Name)
		}
		t := r.session.work.begin(&task{of: of})
		var problem error
		if built, problem = r.bring.builders().All(t.doing(ctx, "build"), taken); problem != nil {
			r.refuseBuild(taken, built, problem)
		}
		t.end()
		for _, b := range built {
			r.feed.add(&control.Event{Kind: control.Event_BUILT, Service: b.Service.Name, Seconds: b.Took.Seconds(), Text: "built"})
		}
	}
	r.install(ctx, built, since)
	if err := cmp.Or(err, tools.Wait()); err != nil {
		r.session.log.Warn("the next bring-up builds everything again", "error", err)
		return
	}
	if number > r.built.number { // there may have been another build meanwhile
		r.built = build{number, state, len(taken) == len(r.bring.workspace.found.Services)}
	}
	r.noteSources(r.built.state, r.built.all)
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
	rolls := newRolls(r, r.session.nodes(), fresh, record)
	for _, o := range rolls {
		o.mounted = r.bring.record.Mount && o.canMount()
	}
	r.rollOut(ctx, rolls, since)
}

// stands reports whether the node has what was built under all of its names.
func stands(b images.Built, have map[string]Image) bool {
	digest := digestOf(b)
	return digest != "" && !slices.ContainsFunc(b.Service.Refs, func(ref name.Tag) bool {
		return have[images.Normalised(ref)].Digest != digest
	})
}

// rollOut has the workloads run what was built; what has no service in common succeeds or fails by itself. What fails is
// undone and refused.
func (r *reloader) rollOut(ctx context.Context, rolls []*roll, since time.Time) {
	if len(rolls) == 0 {
		return
	}
	nodes := rolls[0].nodes
	defer r.forgetOld(ctx, nodes)
	r.beginAll(rolls)
	kept := r.keepProven(ctx, rolls)
	r.restartAll(ctx, r.loadAll(ctx, nodes, rolls, kept), since, func(o *roll) {
		r.remember(o.done)
		if o.unnamed != nil {
			r.feed.note(fmt.Sprintf("restarted, but Jobs and new Pods may run what was there before; the next up mends it: %v", r.session.scrub(o.unnamed)))
		}
		for _, b := range o.built {
			r.done(b.Service.Name, since, o.said(b.Service))
		}
		if o.mounted {
			if kept {
				r.onProbation([]*roll{o})
			}
			r.follow(ctx, nodes, o.built)
		}
	})
}

// loadAll loads what the mounts don't bring. It returns the rolls that go on.
func (r *reloader) loadAll(ctx context.Context, nodes images.Nodes, rolls []*roll, kept bool) []*roll {
	var mounted, loaded []*roll
	var of []string
	for _, o := range rolls {
		if o.mounted {
			mounted = append(mounted, o)
		} else {
			loaded = append(loaded, o)
			of = append(of, names(o.built)...)
		}
	}
	if len(loaded) == 0 {
		return mounted
	}
	report, err := nodes.Load(ctx, stage(loaded))
	if err != nil {
		for _, o := range loaded {
			if !o.staged { // it may have its names already, on some of the nodes
				r.remember(func(rec *Record) { forgetImages(rec, o.built) })
			}
			r.refuse(errors.Join(err, o.undo(ctx)), names(o.built)...)
			o.task.end()
		}
		return mounted
	}
	if kept {
		r.onProbation(loaded)
	}
	r.feed.add(&control.Event{Kind: control.Event_LOADED, Service: strings.Join(of, ", "),
		Text: fmt.Sprintf("%.1f MB sent", float64(report.Bytes)/1e6), Seconds: report.Took.Seconds()})
	return rolls
}

// beginAll notes that rolls are under way: here for those who might handle the same Pods, and in the record for a bring-up after a
// session that was killed.
func (r *reloader) beginAll(rolls []*roll) {
	for _, o := range rolls {
		o.task = r.session.work.begin(&task{of: names(o.built), tag: o.id, workloads: o.ids(), at: "load"})
	}
	r.remember(func(rec *Record) {
		rec.Sources = "" // until it is known what all images were built from
		for _, o := range rolls {
			o.begin(rec)
		}
	})
}

// restartAll has all workloads run what changed, all at once; others go on meanwhile. What became of each roll counts as soon
// as it is known: well is called, or it is taken back.
func (r *reloader) restartAll(ctx context.Context, rolls []*roll, since time.Time, well func(*roll)) {
	through := func(o *roll, f *failure) {
		if f == nil {
			well(o)
			o.task.end()
			return
		}
		others := r.takeBack(ctx, o, f)
		o.task.end()
		r.rollOut(ctx, newRolls(r, o.nodes, others, o.before), since)
	}
	var waits []*roll
	for _, o := range rolls {
		if f := o.mount(); f != nil || len(o.workloads) == 0 {
			through(o, f)
		} else {
			waits = append(waits, o)
		}
	}
	if len(waits) == 0 {
		return
	}
	r.session.work.meanwhile(func() {
		var wg sync.WaitGroup
		for _, o := range waits {
			wg.Go(func() {
				f := o.restart(ctx)
				r.session.work.Lock()
				defer r.session.work.Unlock()
				through(o, f)
			})
		}
		wg.Wait()
	})
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
