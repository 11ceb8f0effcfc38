package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// reloader brings changes of a workspace's files into the running platform. It holds what a bring-up left, and one
// change at a time goes through it: the session's work lock is held for as long.
//
//   - a service of Jobs: the tag moves, and the next request's Pod takes it; a request under way is not touched.
//   - a long-running service: main container and sidecar restart together, in the live Pod. Together, because a main
//     container that restarts alone leaves its sidecar's consumer behind; in the Pod, because that takes a fraction of the
//     time, and because two Pods at once would put two consumers on one queue.
//   - launch files, charts: checked as a bring-up does, then applied; what was removed from the charts is removed.
//
// What can't be built or doesn't start leaves the last good version serving.
type reloader struct {
	session *session
	bring   *bringUp // the last one that came through
	feed    *feed    // gets the events

	dependents *images.Dependents
	seen       string // what the workspace's files were like when they were last looked at; guarded by the work lock

	mu      sync.Mutex
	pending map[string]images.Reason // services whose change isn't in the platform yet
	refused map[string]string        // what isn't in the platform, and why: by service, or "launch files and charts"
}

// restartLimit is how long a container that was restarted in place may take to be ready.
const restartLimit = 60 * time.Second

// workspaceItself is how events and errors name what is no service.
const workspaceItself = "launch files and charts"

func newReloader(b *bringUp) *reloader {
	return &reloader{session: b.session, bring: b, feed: b.session.events, pending: map[string]images.Reason{}, refused: map[string]string{}, seen: b.files}
}

// reload builds services anew because somebody asked for it, all of them when none is named.
func (s *session) reload(ctx context.Context, services []string, events *feed) error {
	s.work.Lock()
	defer s.work.Unlock()
	r := s.reloader()
	if r == nil {
		return ErrNotReady
	}
	if err := r.known(services...); err != nil {
		return err
	}
	if len(services) == 0 {
		services = r.serviceNames()
	}
	defer func(was *feed) { r.feed = was }(r.feed)
	r.feed = events
	for _, name := range services {
		r.await(name, images.Reason{Rule: "asked for"})
	}
	r.services(ctx, time.Now())
	for _, name := range services {
		if err := r.problem(name); err != nil {
			return err
		}
	}
	return nil
}

func (r *reloader) serviceNames() []string {
	var names []string
	for _, svc := range r.bring.workspace.found.Services {
		names = append(names, svc.Name)
	}
	return names
}

// known returns an error for a name that isn't one of the services'; "" stands for all.
func (r *reloader) known(services ...string) error {
	have := r.serviceNames()
	for _, name := range services {
		if name != "" && !slices.Contains(have, name) {
			return fmt.Errorf("no service %q in the workspace; %s", name, hint(name, have))
		}
	}
	return nil
}

// files brings changed files into the platform. since is when the first of them was seen.
func (r *reloader) files(ctx context.Context, files []string, since time.Time) {
	if r.concernsWorkspace(files) {
		r.workspace(ctx, files, since)
		r.dependents = nil
	}
	if r.dependents == nil {
		if err := r.refresh(ctx); err != nil {
			r.refuse("", err)
			return
		}
	}
	for service, reason := range r.dependents.Affected(files) {
		r.await(service, reason)
	}
	r.services(ctx, since)
	if err := r.refresh(ctx); err != nil {
		r.session.log.Warn("which services use which files is not known anew", "error", err)
	}
}

// refresh reads anew which files go into which services.
func (r *reloader) refresh(ctx context.Context) error {
	d, err := images.NewDependents(ctx, r.bring.workspace.dir, r.bring.workspace.found.Services)
	if err == nil {
		r.dependents = d
	}
	return err
}

func (r *reloader) await(service string, reason images.Reason) {
	r.mu.Lock()
	r.pending[service] = reason
	r.mu.Unlock()
	r.feed.add(&control.Event{Kind: control.Event_CHANGED, Service: service, File: reason.File, Text: reason.Rule})
}

// waiting returns the services whose change isn't in the platform yet.
func (r *reloader) waiting() []images.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.bring.workspace.found.Services), func(s images.Service) bool {
		_, ok := r.pending[s.Name]
		return !ok
	})
}

// services builds what waits, and brings what differs into the platform.
func (r *reloader) services(ctx context.Context, since time.Time) {
	waiting := r.waiting()
	if len(waiting) == 0 {
		return
	}
	sources, err := images.Fingerprint(r.bring.workspace.dir)
	if err != nil {
		r.session.log.Warn("the next bring-up builds everything again", "error", err)
	}
	// What the fingerprint stands for is noted below only when all services were built: it takes in files of the others.
	built, err := r.bring.builders().All(ctx, waiting)
	if err != nil {
		r.refuseBuild(waiting, built, err)
	}
	for _, b := range built {
		r.feed.add(&control.Event{Kind: control.Event_BUILT, Service: b.Service.Name, Seconds: b.Took.Seconds(), Text: "built"})
	}
	if len(built) == 0 {
		return
	}
	if err := r.install(ctx, built, since); err != nil {
		for _, b := range built {
			r.refuse(b.Service.Name, err)
		}
		return
	}
	if len(waiting) == len(r.bring.workspace.found.Services) && len(r.waiting()) == 0 && sources != "" {
		r.remember(func(rec *Record) { rec.Sources = sources })
	}
}

// install brings built services onto the nodes and into the Pods that run them.
func (r *reloader) install(ctx context.Context, built []images.Built, since time.Time) error {
	record, err := r.session.state.Read()
	if err != nil {
		return err
	}
	tagged := images.Tagged(built)
	changed, err := differing(tagged, record.Images)
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		for _, b := range built {
			r.done(b.Service.Name, since, "its image is the same")
		}
		return nil
	}
	roll := newRoll(r, changed, record)
	if err := roll.keepOld(ctx); err != nil {
		return err
	}
	r.remember(roll.begin)
	report, err := images.LoadAll(ctx, roll.nodes, changed)
	if err != nil {
		return errors.Join(err, roll.undo(ctx))
	}
	r.feed.add(&control.Event{Kind: control.Event_LOADED, Service: strings.Join(names(built), ", "),
		Text: fmt.Sprintf("%.1f MB sent", float64(report.Bytes)/1e6), Seconds: report.Took.Seconds()})
	if err := roll.restart(ctx); err != nil {
		return errors.Join(err, roll.undo(ctx))
	}
	r.remember(func(rec *Record) {
		rec.Images = maps.Clone(roll.before.Images)
		for _, l := range report.Images {
			rec.Images[l.Ref] = Image{Digest: l.Digest, ID: l.ConfigDigest}
		}
		roll.done(rec)
	})
	for _, b := range built {
		r.done(b.Service.Name, since, roll.said(b.Service))
	}
	roll.forgetOld(ctx)
	return nil
}

// differing returns the images that aren't what the node has under their name.
func differing(tagged map[name.Tag]v1.Image, have map[string]Image) (map[name.Tag]v1.Image, error) {
	out := map[name.Tag]v1.Image{}
	for tag, img := range tagged {
		digest, err := img.Digest()
		if err != nil {
			return nil, fmt.Errorf("read image %s: %w", tag, err)
		}
		if have[images.Normalised(tag)].Digest != digest.String() {
			out[tag] = img
		}
	}
	return out, nil
}

// workspace reads launch files and charts again and applies them.
func (r *reloader) workspace(ctx context.Context, files []string, since time.Time) {
	r.feed.add(&control.Event{Kind: control.Event_CHANGED, File: strings.Join(files, ", "), Text: workspaceItself})
	text, err := r.applyWorkspace(ctx)
	if err != nil {
		r.refuse("", err)
		return
	}
	r.done("", since, text)
}

func (r *reloader) applyWorkspace(ctx context.Context) (string, error) {
	record, err := r.session.state.Read()
	if err != nil {
		return "", err
	}
	before := r.bring.workspace
	now, err := readWorkspace(before.dir, record.BrokerPassword, r.bring.opts.Strict)
	if err != nil {
		return "", err
	}
	r.bring.workspace = now
	if err := r.newServices(ctx, before, now); err != nil {
		r.bring.workspace = before
		return "", err
	}
	r.session.keepReady(r.bring)
	changes, err := r.session.applySet(ctx, now.launch, now.dir)
	if err != nil {
		return "", err
	}
	said, err := r.bring.deploy(ctx)
	if err != nil {
		return "", err
	}
	gone, err := r.bring.client.Prune(ctx, before.rendered.Objects, now.rendered.Objects)
	if err != nil {
		return "", err
	}
	if len(gone) > 0 {
		said += fmt.Sprintf(", %d removed", len(gone))
	}
	waiting, cancel := context.WithTimeout(ctx, workloadsWait)
	defer cancel()
	if err := r.bring.client.WaitReady(waiting, now.rendered.Objects); err != nil {
		return "", err
	}
	return "config store: " + changes.Summary() + "; " + said, nil
}

// newServices has those services built that something refers to only now: what refers to them is applied afterwards.
func (r *reloader) newServices(ctx context.Context, before, now *workspace) error {
	known := map[string]bool{}
	for _, s := range before.found.Services {
		known[s.Name] = true
	}
	var fresh []images.Service
	for _, s := range now.found.Services {
		if !known[s.Name] {
			fresh = append(fresh, s)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	built, err := r.bring.builders().All(ctx, fresh)
	if err != nil {
		return err
	}
	return r.install(ctx, built, time.Now())
}

// concernsWorkspace reports whether files change what a workspace consists of: its launch files, its charts, or the folder
// of a service that something refers to and that was missing.
func (r *reloader) concernsWorkspace(files []string) bool {
	for _, f := range files {
		if strings.HasPrefix(f, chartsDir+"/") || strings.HasPrefix(f, launchFilesDir+"/") {
			return true
		}
	}
	for _, m := range r.bring.workspace.found.Missing {
		for _, f := range files {
			if strings.HasPrefix(f, "go/cmd/"+m.Name+"/") || strings.HasPrefix(f, "python/"+m.Name+"/") {
				return true
			}
		}
	}
	return false
}

// refuse tells that a change isn't in the platform. service is empty for launch files and charts.
func (r *reloader) refuse(service string, err error) {
	err = r.session.scrub(err)
	r.mu.Lock()
	r.refused[orWorkspace(service)] = err.Error()
	r.mu.Unlock()
	r.feed.add(&control.Event{Kind: control.Event_REFUSED, Service: service, Text: err.Error()})
}

// refuseBuild tells an error of builders of those services that weren't built.
func (r *reloader) refuseBuild(waiting []images.Service, built []images.Built, err error) {
	done := names(built)
	var left []string
	r.mu.Lock()
	for _, s := range waiting {
		if !slices.Contains(done, s.Name) {
			left = append(left, s.Name)
			r.refused[s.Name] = r.session.scrub(err).Error()
		}
	}
	r.mu.Unlock()
	r.feed.add(&control.Event{Kind: control.Event_REFUSED, Service: strings.Join(left, ", "), Text: r.session.scrub(err).Error()})
}

// done tells that a change is in the platform.
func (r *reloader) done(service string, since time.Time, text string) {
	r.mu.Lock()
	delete(r.pending, service)
	delete(r.refused, orWorkspace(service))
	r.mu.Unlock()
	r.feed.add(&control.Event{Kind: control.Event_RELOADED, Service: service, Text: text, Seconds: time.Since(since).Seconds()})
}

func orWorkspace(service string) string {
	if service == "" {
		return workspaceItself
	}
	return service
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

// ErrStale is the error of a change that isn't in the running platform, because it was refused.
var ErrStale = errors.New("not in the platform, the last good version runs on")

func (r *reloader) remember(change func(*Record)) {
	if err := r.bring.remember(change); err != nil {
		r.session.log.Error("the sandbox's record is not up to date", "error", err)
	}
}

func names(built []images.Built) []string {
	var out []string
	for _, b := range built {
		out = append(out, b.Service.Name)
	}
	return out
}
