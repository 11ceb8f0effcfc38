package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// workspaceItself is how events and errors name what is no service.
const workspaceItself = "launch files and charts"

// ErrStale is the error of a change that isn't in the running platform, because it was refused.
var ErrStale = errors.New("not in the platform, the last good version runs on")

// await notes that a service has changed.
func (r *reloader) await(service string, reason images.Reason) {
	r.mu.Lock()
	if c := r.pending[service]; c != nil {
		c.told, c.again = "", c.underWay
	} else {
		r.pending[service] = &change{}
	}
	r.mu.Unlock()
	for _, t := range r.session.work.with(func(t *task) bool { return slices.Contains(t.of, service) }) {
		t.tell()
	}
	r.feed.add(&control.Event{Kind: control.Event_CHANGED, Service: service, File: reason.File, Text: reason.Rule})
}

// waiting returns the services whose change isn't in the platform yet.
func (r *reloader) waiting() []images.Service {
	return r.pendingWith(func(images.Service, change) bool { return true })
}

// pendingWith returns those of the services whose change isn't in the platform yet for which f is true.
func (r *reloader) pendingWith(f func(images.Service, change) bool) []images.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.bring.workspace.found.Services), func(s images.Service) bool {
		c := r.pending[s.Name]
		return c == nil || !f(s, *c)
	})
}

// undecided reports whether it isn't known yet what becomes of a service's change, or of any when service is empty.
func (r *reloader) undecided(service string) bool {
	if r.charts > 0 && (service == "" || r.known(service) != nil) { // they may bring it
		return true
	}
	return len(r.pendingWith(func(s images.Service, c change) bool {
		return c.told == "" && (service == "" || s.Name == service)
	})) > 0
}

// refuse tells that the change of services isn't in the platform, or with none that of launch files and charts isn't. Of
// a service that waits since an earlier change, what was told before is not told again.
func (r *reloader) refuse(err error, services ...string) {
	text := r.session.scrub(err).Error()
	var news []string
	r.mu.Lock()
	for _, name := range services {
		r.refused[name] = text
		if c := r.pending[name]; c == nil || c.told != text {
			news = append(news, name)
		}
		c := r.pending[name]
		switch {
		case c == nil:
		case c.again || errors.Is(err, errNewer): // it will be taken up again
			c.underWay, c.again = false, false
		default:
			c.told, c.underWay = text, false
		}
	}
	if len(services) == 0 {
		r.refused[workspaceItself] = text
	}
	r.mu.Unlock()
	if len(news) > 0 || len(services) == 0 {
		r.feed.add(&control.Event{Kind: control.Event_REFUSED, Service: strings.Join(news, ", "), Text: text})
	}
}

// refuseCrashed refuses services because an image of theirs didn't start. It is not tried again.
func (r *reloader) refuseCrashed(err error, built ...images.Built) {
	r.mu.Lock()
	for _, b := range built {
		if c := r.pending[b.Service.Name]; c != nil {
			c.crashed = digestOf(b)
		}
	}
	r.mu.Unlock()
	r.refuse(err, names(built)...)
}

// crashed refuses a service once more if what was built didn't start before, and reports whether it has.
func (r *reloader) crashed(b images.Built) bool {
	r.mu.Lock()
	c, why := r.pending[b.Service.Name], r.refused[b.Service.Name]
	r.mu.Unlock()
	if c == nil || c.crashed == "" || c.crashed != digestOf(b) {
		return false
	}
	r.refuse(errors.New(why), b.Service.Name)
	return true
}

// tryAgain forgets that what a service is built to didn't start.
func (r *reloader) tryAgain(service string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.pending[service]; c != nil {
		c.crashed = ""
	}
}

// digestOf is the digest of what was built; "", which equals none, if it can't be read.
func digestOf(b images.Built) string {
	digest, err := b.Image.Digest()
	if err != nil {
		return ""
	}
	return digest.String()
}

// done tells that a change is in the platform. service is empty for launch files and charts.
func (r *reloader) done(service string, since time.Time, text string) {
	r.mu.Lock()
	if c := r.pending[service]; c != nil && c.again {
		c.underWay, c.again = false, false
	} else {
		delete(r.pending, service)
	}
	if service == "" {
		delete(r.refused, workspaceItself)
	}
	delete(r.refused, service)
	r.mu.Unlock()
	r.feed.add(&control.Event{Kind: control.Event_RELOADED, Service: service, Text: text, Seconds: time.Since(since).Seconds()})
}

// forgetGone forgets what waits of services that the workspace has no more.
func (r *reloader) forgetGone() {
	have := r.serviceNames()
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range r.proofs.all() {
		if !slices.Contains(have, name) {
			r.proofs.end(name)
		}
	}
	maps.DeleteFunc(r.pending, func(name string, _ *change) bool { return !slices.Contains(have, name) })
	maps.DeleteFunc(r.refused, func(name string, _ string) bool { return name != workspaceItself && !slices.Contains(have, name) })
}

// problems returns what isn't in the platform, and why.
func (r *reloader) problems() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.refused)
}

// problem returns an error if a service's change isn't in the platform, or any when service is empty. Its text was in an
// event; here it is told in short.
func (r *reloader) problem(service string) error {
	var left []string
	for name := range r.problems() {
		if service == "" || name == service {
			left = append(left, name)
		}
	}
	if left == nil {
		return nil
	}
	slices.Sort(left)
	return fmt.Errorf("%w: %s", ErrStale, strings.Join(left, ", "))
}

func names(built []images.Built) []string {
	var out []string
	for _, b := range built {
		out = append(out, b.Service.Name)
	}
	return out
}
