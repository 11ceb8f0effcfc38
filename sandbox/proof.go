package sandbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
)

// A service of Jobs is in the platform when the nodes have it, and nobody has seen it run: that takes a request. Until one of
// its Pods has ended well, what was there before is kept; when its container ends badly before any other, that comes back,
// and the change is refused with the container's log, as a change of a long-running service is that doesn't start. One that ends
// well before its time is only told of, and proves nothing: its work can't be seen, and one that did it looks the same.
//
// What has to prove itself is known to the session alone: after its end, and after a bring-up, what is there stands.

// provenTag ends the tags under which nodes keep what was there before.
const provenTag = "proven"

// proof is a service of Jobs whose newest image has to prove itself.
type proof struct {
	built  images.Built
	id     string           // what its containers show
	mount  bool             // what they run isn't in the image
	before map[string]Image // the proven image, by normalised reference
	since  time.Time        // containers that were started before don't count
	noted  bool             // that it may have ended before its time
}

// proofs are the services of Jobs that have to prove themselves, by name.
type proofs struct {
	mu   sync.Mutex
	open map[string]*proof
	stop context.CancelFunc // of who follows them; nil while nobody does
}

func (ps *proofs) of(service string) *proof {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.open[service]
}

func (ps *proofs) all() map[string]*proof {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return maps.Clone(ps.open)
}

// end ends the probation of a service. What was kept for it goes with the next reload. With none left nobody follows them.
func (ps *proofs) end(service string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	delete(ps.open, service)
	if len(ps.open) == 0 {
		ps.stopFollowing()
	}
}

// endAll ends them all.
func (ps *proofs) endAll() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.open = nil
	ps.stopFollowing()
}

func (ps *proofs) stopFollowing() {
	if ps.stop != nil {
		ps.stop()
		ps.stop = nil
	}
}

// keepProven has the nodes keep what rolls without workloads replace. One that replaces what wasn't proven either keeps
// what was before that. It reports whether what they bring can be taken back.
func (r *reloader) keepProven(ctx context.Context, rolls []*roll) bool {
	names := map[string]string{}
	for _, o := range rolls {
		for ref, s := range o.changed {
			if _, had := o.before.Images[ref]; len(o.workloads) == 0 && had && r.proofs.of(s.Name) == nil {
				names[as(ref, provenTag)] = ref
			}
		}
	}
	if len(names) == 0 {
		return true
	}
	err := r.session.nodes().Retag(ctx, names)
	if err != nil {
		r.session.log.Warn("services of Jobs aren't taken back when they don't start", "error", err)
	}
	return err == nil
}

// onProbation follows what rolls without workloads have brought until it is proven.
func (r *reloader) onProbation(rolls []*roll) {
	for _, o := range rolls {
		if len(o.workloads) > 0 {
			continue
		}
		for _, b := range o.built {
			if p := r.newProof(o.before, b); p != nil {
				r.followJobs(p)
			} else {
				r.proofs.end(b.Service.Name)
			}
		}
	}
}

// newProof returns nil for what need not prove itself: there was nothing before it, or just that.
func (r *reloader) newProof(record Record, b images.Built) *proof {
	p := &proof{built: b, mount: r.bring.record.Mount, before: map[string]Image{}, since: time.Now()}
	if was := r.proofs.of(b.Service.Name); was != nil {
		p.before = was.before
	} else {
		for _, ref := range b.Service.Refs {
			if img, ok := record.Images[images.Normalised(ref)]; ok {
				p.before[images.Normalised(ref)] = img
			}
		}
	}
	id, err := b.Image.ConfigName()
	if err != nil || len(p.before) < len(b.Service.Refs) || stands(b, p.before) {
		return nil
	}
	p.id = id.String()
	return p
}

// followJobs looks at the Pods of Jobs for as long as a service has to prove itself.
func (r *reloader) followJobs(p *proof) {
	ps := &r.proofs
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.open == nil {
		ps.open = map[string]*proof{}
	}
	ps.open[p.built.Service.Name] = p
	if ps.stop != nil {
		return
	}
	ctx, stop := context.WithCancel(r.session.base)
	ps.stop = stop
	client := r.bring.client
	go func() {
		defer stop()
		err := client.FollowJobs(ctx, func(pod cluster.JobPod) (enough bool) {
			for _, p := range ps.all() {
				r.judge(ctx, p, pod)
			}
			return ctx.Err() != nil
		})
		if err != nil && ctx.Err() == nil {
			r.session.log.Warn("services of Jobs aren't taken back when they don't start, until they are changed again", "error", err)
			ps.endAll()
		}
	}()
}

// ran reports whether a container ran what has to prove itself.
func (p *proof) ran(e cluster.Ended) bool {
	for ref := range p.before {
		if normalised(e.Image) != ref {
			continue
		}
		if p.mount {
			return e.Started.After(p.since)
		}
		return strings.HasSuffix(e.ImageID, p.id) && !e.Started.Before(p.since.Truncate(time.Second))
	}
	return false
}

// judge ends the probation of a service, one way or the other, if a Pod tells which and it wasn't changed again meanwhile.
func (r *reloader) judge(ctx context.Context, p *proof, pod cluster.JobPod) {
	guilty := pod.FirstFailed()
	i := slices.IndexFunc(guilty, p.ran)
	if i < 0 && (r.doubtful(p, pod) || !pod.Succeeded || !slices.ContainsFunc(pod.Ended, p.ran)) {
		return
	}
	died := &cluster.Died{}
	if i >= 0 { // now, as whoever made the Job may delete it
		died.Container, died.ExitCode, died.Tail = guilty[i].Container, guilty[i].ExitCode, guilty[i].Log(ctx)
	}
	r.session.work.Lock()
	defer r.session.work.Unlock()
	service := p.built.Service.Name
	if ctx.Err() != nil || r.proofs.of(service) != p {
		return
	}
	if i < 0 {
		r.proofs.end(service)
		return
	}
	// Not with the context of the following, which ends with the last proof.
	err := fmt.Errorf("it ended badly in a request, and what was there before is back: %w", died)
	if back := r.bringBack(r.session.base, p); back != nil {
		err = fmt.Errorf("it ended badly in a request: %w\nand it runs on, as what was there before can't be brought back: %w", died, back)
	}
	r.refuseDied(p.built, err)
	r.proofs.end(service)
}

// doubtful reports whether what has to prove itself may have ended before its time, which is told once.
func (r *reloader) doubtful(p *proof, pod cluster.JobPod) bool {
	for _, e := range pod.Ended {
		before, ok := pod.LeftWaiting(e)
		if !ok || !p.ran(e) {
			continue
		}
		if !p.noted {
			p.noted = true
			r.session.events.note(fmt.Sprintf("%s ended with exit code 0, and %s, of which it gets its message, %v later: if the request failed, it may have ended before the message came",
				e.Container, before.Container, before.Finished.Sub(e.Finished)))
		}
		return true
	}
	return false
}

// refuseDied refuses a service that was in the platform. A later change of it that was refused too stays so.
func (r *reloader) refuseDied(b images.Built, err error) {
	service := b.Service.Name
	r.mu.Lock()
	c := r.pending[service]
	if c == nil {
		c = &change{}
		r.pending[service] = c
	} else if later := r.refused[service]; later != "" {
		err = fmt.Errorf("%s\nand what is in the platform: %w", later, err)
	}
	c.crashed = digestOf(b)
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
