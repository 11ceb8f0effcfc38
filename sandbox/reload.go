package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dynsandbox/dynsandbox/images"
)

// reloader brings changes of a workspace's files into the running platform. It holds what a bring-up left, and is guarded by
// the session's work: while one change waits for Pods, others of other Pods go through it.
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
	dir     string   // the workspace

	dependents *images.Dependents // nil: not known, or not any more
	tried      *workspace         // whose change was refused; nil when the last was not, or couldn't be read
	seen       fileStates         // what the workspace's files were like when they were last looked at; guarded by the work lock
	noted      sources            // for the bring-ups to come
	reads      int                // how often the sources were read for a build
	built      build              // the last one
	charts     int                // changes of launch files and charts that are under way, or wait

	mu      sync.Mutex
	pending map[string]*change // services whose change isn't in the platform yet
	refused map[string]string  // what isn't in the platform, and why: by service, or "launch files and charts"

	proofs proofs
}

// change is one of a service on its way into the platform.
type change struct {
	told     string // why it was refused, as was told; "": that isn't known yet
	crashed  string // digest of its image that was refused because it didn't start: it isn't tried again
	underWay bool
	again    bool // it has changed again since
}

// build is one of services that had changed.
type build struct {
	number int
	state  images.Sources // as they were before it
	all    bool           // of all services
}

func newReloader(b *bringUp) *reloader {
	return &reloader{
		session: b.session, bring: b, feed: b.session.events, dir: b.record.Workspace, pending: map[string]*change{}, refused: map[string]string{},
		seen: b.files, noted: sources{state: b.sources, told: map[string]bool{}},
	}
}

// errNewer is the error of a change that wasn't waited for any longer.
var errNewer = errors.New("changed again before it was ready")

// orNewer is an error, or errNewer when that is why a patient wait ended.
func orNewer(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errNewer) {
		return errNewer
	}
	return err
}

// retire ends what a reloader, which may be nil, has under way when another takes its place.
func (r *reloader) retire() {
	if r != nil {
		r.proofs.endAll()
	}
}

// reload builds services anew because somebody asked for it; when none is named all of them, after launch files and charts.
func (s *session) reload(ctx context.Context, services []string, events *feed) error {
	renews := func(t *task) bool {
		return len(services) == 0 || slices.ContainsFunc(t.of, func(name string) bool { return slices.Contains(services, name) })
	}
	if err := s.workAlone(ctx, events, renews); err != nil {
		return err
	}
	defer s.work.unlockAlone()
	r := s.reloader()
	if r == nil {
		return ErrNotReady
	}
	if err := r.known(services...); err != nil {
		return err
	}
	defer func(was *feed) { r.feed = was }(r.feed)
	r.feed = events
	if len(services) == 0 {
		seen, err := readFileStates(r.dir) // what changes from now on may not be in
		if err != nil {
			return err
		}
		r.workspace(ctx, nil, time.Now())
		r.seen, r.dependents = seen, nil
		services = append(r.serviceNames(), workspaceItself)
	}
	for _, name := range services {
		if name != workspaceItself {
			r.await(name, images.Reason{Rule: "asked for"})
			r.tryAgain(name)
		}
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
			return worded{fmt.Sprintf("no service %q in the workspace; %s", name, hint(name, have)), ErrUnknownName}
		}
	}
	return nil
}

// files brings changed files into the platform. since is when the first of them was seen.
func (r *reloader) files(ctx context.Context, files []string, since time.Time) {
	r.noted.add(files)
	sources := 0
	if slices.ContainsFunc(files, func(f string) bool { return !isWorkspaceFile(f) }) {
		sources = 1
	}
	r.session.sorting += sources
	if r.concernsWorkspace(files) || r.mends(ctx, files) {
		r.workspace(ctx, files, since)
		r.dependents = nil
	}
	if r.session.reloader() != r { // a bring-up has taken it over
		r.session.sorting -= sources
		return
	}
	affected := r.affected(ctx, files)
	for service, reason := range affected {
		r.await(service, reason)
	}
	r.session.sorting -= sources
	for _, f := range files {
		if len(affected) == 0 && strings.HasSuffix(f, ".proto") {
			r.feed.note(f + " goes into no service: they are built of the code that was generated from it")
		}
	}
	r.dependents = nil
	r.services(ctx, since)
	if err := r.refresh(ctx); err != nil {
		r.session.log.Warn("which services use which files is not known anew", "error", err)
	}
}

// refresh reads anew which files go into which services, unless that is known.
func (r *reloader) refresh(ctx context.Context) (err error) {
	if r.dependents == nil {
		r.dependents, err = images.NewDependents(ctx, r.dir, r.bring.workspace.found.Services)
	}
	return err
}

// affected returns why services must be built again, by name. As long as it can't be told which do, it is all of them: no
// change may be forgotten, and the builders have the better words for what is wrong.
func (r *reloader) affected(ctx context.Context, files []string) map[string]images.Reason {
	err := r.refresh(ctx)
	if err == nil {
		return r.dependents.Affected(files)
	}
	source := slices.IndexFunc(files, func(f string) bool { return !r.concernsWorkspace([]string{f}) })
	if source < 0 {
		return nil
	}
	r.feed.note("which services use which files is not known, so all are built: " + r.session.scrub(err).Error())
	all := map[string]images.Reason{}
	for _, name := range r.serviceNames() {
		all[name] = images.Reason{File: files[source], Rule: "it is not known what uses it"}
	}
	return all
}

// isWorkspaceFile reports whether a file is a launch file or of a chart.
func isWorkspaceFile(f string) bool {
	return strings.HasPrefix(f, chartsDir+"/") || strings.HasPrefix(f, launchFilesDir+"/")
}

// concernsWorkspace reports whether files change what a workspace consists of: its launch files, its charts, how a
// service is built, or the folder of a service that something refers to and that was missing.
func (r *reloader) concernsWorkspace(files []string) bool {
	if slices.ContainsFunc(files, isWorkspaceFile) {
		return true
	}
	if changed, err := images.BuiltOtherwise(r.bring.workspace.dir, r.bring.workspace.found.Services); err == nil && changed {
		return true
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
