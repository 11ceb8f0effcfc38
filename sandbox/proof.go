package sandbox

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
)

// A service of Jobs is in the platform when the nodes have it, and nobody has seen it run: that takes a request. Until one of
// its containers has ended well, what was there before is kept; when one ends badly, that comes back, and the change is
// refused with the container's log, as a change of a long-running service is that doesn't start.

// provenTag ends the tags under which nodes keep what was there before.
const provenTag = "proven"

// proof is a service of Jobs whose newest image has to prove itself.
type proof struct {
	built  images.Built
	id     string           // what its containers show
	before map[string]Image // the proven image, by normalised reference
	since  time.Time        // with the mount on, containers that were started later run it; else zero
}

// keepProven has the nodes keep what rolls without workloads replace. One that replaces what wasn't proven either keeps
// what was before that.
func (r *reloader) keepProven(ctx context.Context, rolls []*roll) error {
	names := map[string]string{}
	for _, o := range rolls {
		for ref, s := range o.changed {
			if _, had := o.before.Images[ref]; len(o.workloads) == 0 && had && r.proofOf(s.Name) == nil {
				names[as(ref, provenTag)] = ref
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return r.session.nodes().Retag(ctx, names)
}

// onProbation follows what a roll without workloads has brought until it is proven.
func (r *reloader) onProbation(o *roll) {
	if len(o.workloads) > 0 {
		return
	}
	for _, b := range o.built {
		id, err := b.Image.ConfigName()
		p := &proof{built: b, id: id.String(), before: map[string]Image{}}
		if r.bring.record.Mount {
			p.since = time.Now()
		}
		if was := r.proofOf(b.Service.Name); was != nil {
			p.before = was.before
		} else {
			for _, ref := range b.Service.Refs {
				if img, ok := o.before.Images[images.Normalised(ref)]; ok {
					p.before[images.Normalised(ref)] = img
				}
			}
		}
		if err != nil || len(p.before) < len(b.Service.Refs) {
			continue // there was nothing before
		}
		r.mu.Lock()
		begin := !r.following
		if stands(b, p.before) { // gone back to
			delete(r.proofs, b.Service.Name)
		} else {
			r.proofs[b.Service.Name], r.following = p, true
		}
		begin = begin && r.following
		r.mu.Unlock()
		if begin {
			go r.followProofs(r.session.base)
		}
	}
}

func (r *reloader) proofOf(service string) *proof {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proofs[service]
}

// endProof ends the probation of a service. What was kept for it goes with the next reload.
func (r *reloader) endProof(service string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.proofs, service)
}

// followProofs looks at the containers of Jobs for as long as a service has to prove itself.
func (r *reloader) followProofs(ctx context.Context) {
	err := r.bring.client.FollowJobs(ctx, func(e cluster.Ended) (enough bool) {
		for _, p := range r.standing() {
			if p.ran(e) {
				r.judge(ctx, p, e.Died)
			}
		}
		replaced := r.session.reloader() != r
		r.mu.Lock()
		defer r.mu.Unlock()
		r.following = len(r.proofs) > 0 && !replaced
		return !r.following
	})
	if err != nil && ctx.Err() == nil {
		r.session.log.Warn("services of Jobs aren't taken back when they don't start, until they are changed again", "error", err)
		r.mu.Lock()
		defer r.mu.Unlock()
		clear(r.proofs)
		r.following = false
	}
}

// standing returns the services that have to prove themselves.
func (r *reloader) standing() map[string]*proof {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.proofs)
}

// ran reports whether a container ran what has to prove itself.
func (p *proof) ran(e cluster.Ended) bool {
	for ref := range p.before {
		if normalised(e.Image) == ref {
			return strings.HasSuffix(e.ImageID, p.id) || !p.since.IsZero() && e.Started.After(p.since)
		}
	}
	return false
}

// judge ends the probation of a service, one way or the other, unless it was changed again meanwhile.
func (r *reloader) judge(ctx context.Context, p *proof, died *cluster.Died) {
	r.session.work.Lock()
	defer r.session.work.Unlock()
	service := p.built.Service.Name
	if r.session.reloader() != r || r.proofOf(service) != p || ctx.Err() != nil {
		return
	}
	r.endProof(service)
	if died == nil {
		return
	}
	err := fmt.Errorf("it ended badly in the first request that ran it, and what was there before is back: %w", died)
	if back := r.bringBack(ctx, p); back != nil {
		err = fmt.Errorf("it ended badly in the first request that ran it: %w\nand it runs on, as what was there before can't be brought back: %w", died, back)
	}
	r.mu.Lock()
	r.pending[service] = &change{crashed: digestOf(p.built)}
	r.mu.Unlock()
	r.refuse(err, service)
}

// bringBack has the next Pods run what was there before.
func (r *reloader) bringBack(ctx context.Context, p *proof) error {
	service := p.built.Service
	if m := r.session.mounts(); r.bring.record.Mount && m.kept(service.Name) {
		if err := m.goBack(service.Name); err != nil {
			return err
		}
	}
	names := map[string]string{}
	for ref := range p.before {
		names[ref] = as(ref, provenTag)
	}
	r.remember(func(rec *Record) {
		rec.Sources = ""
		forgetImages(rec, []images.Built{p.built})
	})
	if err := r.session.nodes().Retag(ctx, names); err != nil {
		return err
	}
	r.remember(func(rec *Record) {
		rec.Images = orMade(rec.Images)
		maps.Copy(rec.Images, p.before)
	})
	return nil
}
