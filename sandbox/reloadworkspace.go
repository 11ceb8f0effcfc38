package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// chartsLimit is how long workloads that a change of charts concerns may take to be available.
const chartsLimit = 2 * time.Minute

// workspace reads launch files and charts again and applies them.
func (r *reloader) workspace(ctx context.Context, files []string, since time.Time) {
	r.charts++
	defer func() { r.charts-- }()
	r.feed.add(&control.Event{Kind: control.Event_CHANGED, File: strings.Join(files, ", "), Text: workspaceItself})
	text, err := r.applyWorkspace(ctx)
	r.forgetGone()
	if errors.Is(err, errTakenOver) {
		return
	}
	if err != nil {
		r.refuse(err)
		return
	}
	for _, problem := range r.bring.workspace.launch.Warnings {
		r.feed.note(problem.Error())
	}
	r.done("", since, text)
}

func (r *reloader) applyWorkspace(ctx context.Context) (string, error) {
	record, err := r.session.state.Read()
	if err != nil {
		return "", err
	}
	now, err := r.readFree(ctx, record)
	if err != nil {
		return "", err
	}
	t := r.session.work.begin(&task{of: []string{workspaceItself}})
	defer t.end()
	before := r.bring.workspace
	if err := r.loadNew(t.doing(ctx, "build and load new services"), before, now); err != nil {
		r.tried = now
		return "", errors.Join(err, r.unload(ctx, now, before))
	}
	if err := r.check(t.doing(ctx, "check"), before, now); err != nil {
		return "", errors.Join(err, r.unload(ctx, now, before))
	}
	said, err := r.goOver(ctx, t, before, now)
	if err != nil {
		r.tried = now
		return "", errors.Join(err, r.goBack(ctx, t, before, now))
	}
	if err := r.unload(ctx, before, now); err != nil {
		r.session.log.Warn("images that nothing refers to any more stay on the node", "error", err)
	}
	return said, nil
}

// readFree reads the workspace as soon as no other change of launch files and charts is under way, and none of a service whose
// workloads have changed. Their waiting is cut short, as this one may mend them.
func (r *reloader) readFree(ctx context.Context, record Record) (*workspace, error) {
	for {
		if err := r.waitFor(ctx, r.session.work.ofWorkspace); err != nil {
			return nil, err
		}
		r.tried = nil
		now, err := readWorkspace(r.dir, record.BrokerPassword, r.bring.opts.Strict)
		if err != nil {
			return nil, err
		}
		changed := changedWorkloads(r.bring.workspace, now)
		touching := func() []*task { return r.session.work.touching(changed) }
		if len(touching()) == 0 {
			return now, nil
		}
		if err := r.waitFor(ctx, touching); err != nil {
			return nil, err
		}
	}
}

// errTakenOver is the error of a change that waited until there was a bring-up, which reads everything.
var errTakenOver = errors.New("a bring-up has taken it over")

// waitFor waits until there are no such tasks.
func (r *reloader) waitFor(ctx context.Context, tasks func() []*task) error {
	begun := tasks()
	if len(begun) == 0 {
		return nil
	}
	for _, t := range begun {
		t.tell()
	}
	err := r.session.work.until(ctx, func() bool { return len(tasks()) == 0 && r.session.work.alone == 0 })
	if err != nil || r.session.reloader() != r {
		return errTakenOver
	}
	return nil
}

// changedWorkloads names the workloads that two states of a workspace don't both have, or have otherwise.
func changedWorkloads(before, now *workspace) (ids []string) {
	have := map[string]map[string]any{}
	for _, o := range before.rendered.Objects {
		have[o.ID()] = o.Object
	}
	for _, o := range now.rendered.Objects {
		if reflect.DeepEqual(have[o.ID()], o.Object) {
			delete(have, o.ID())
		} else {
			have[o.ID()] = nil
		}
	}
	return slices.Collect(maps.Keys(have))
}

// check has the cluster look at what it is to get before anything is changed.
func (r *reloader) check(ctx context.Context, before, now *workspace) error {
	r.bring.workspace = now
	defer func() { r.bring.workspace = before }()
	return r.bring.check(ctx)
}

// goOver brings the platform from one state of the workspace to another.
func (r *reloader) goOver(ctx context.Context, t *task, before, now *workspace) (string, error) {
	ctx = t.doing(ctx, "apply")
	r.bring.workspace = now
	r.session.keepReady(r.bring)
	if _, err := r.session.tellSensitive(ctx, r.bring.client, now, now.launch); err != nil {
		return "", err
	}
	changes, err := r.session.applySet(ctx, now.launch, now.dir)
	if err != nil {
		return "", err
	}
	began := time.Now()
	report, err := r.bring.apply(ctx)
	if err != nil {
		return "", err
	}
	said := "config store: " + changes.Summary() + "; " + report.String()
	waiting, cancel := context.WithTimeout(ctx, chartsLimit)
	defer cancel()
	waiting, done := t.patient(waiting)
	defer done()
	objects := r.touched(t, now, report)
	r.session.work.meanwhile(func() { err = orNewer(waiting, r.bring.client.WaitStarted(waiting, objects, began)) })
	return said, err
}

// goBack takes back what goOver has done so far, whatever became of ctx. What was added is removed.
func (r *reloader) goBack(ctx context.Context, t *task, before, now *workspace) error {
	ctx, cancel := context.WithTimeout(t.doing(context.WithoutCancel(ctx), "go back to what was there before"), restartLimit)
	defer cancel()
	r.bring.workspace = before
	r.session.keepReady(r.bring)
	err := func() error {
		if _, err := r.session.tellSensitive(ctx, r.bring.client, before, before.launch); err != nil {
			return err
		}
		if _, err := r.session.applySet(ctx, before.launch, before.dir); err != nil {
			return err
		}
		report, err := r.bring.apply(ctx)
		if err != nil {
			return err
		}
		objects := r.touched(t, before, report)
		r.session.work.meanwhile(func() { err = r.bring.client.WaitReady(ctx, objects) })
		return err
	}()
	if err := errors.Join(err, r.unload(ctx, now, before)); err != nil {
		return fmt.Errorf("go back to the launch files and charts of before: %w", err)
	}
	return nil
}

// touched returns those of a workspace's objects that an apply has made or changed, and gives their Pods to a task alone. Of
// what is being restarted in place only the status has changed.
func (r *reloader) touched(t *task, in *workspace, report deployed) []cluster.Object {
	objects := slices.DeleteFunc(slices.Clone(in.rendered.Objects), func(o cluster.Object) bool {
		return !slices.Contains(report.Created, o.ID()) && !slices.Contains(report.Changed, o.ID()) || r.session.work.restarting(o.ID())
	})
	for _, o := range objects {
		t.workloads = append(t.workloads, o.ID())
	}
	return objects
}

// loadNew has those services built and loaded that something refers to only now, or by another account or tag. No
// workload restarts for it: what refers to them is applied afterwards.
func (r *reloader) loadNew(ctx context.Context, before, now *workspace) error {
	fresh := added(before, now)
	if len(fresh) == 0 {
		return nil
	}
	built, err := r.bring.builders().All(ctx, fresh)
	if err != nil {
		return err
	}
	// Only under the names that are new: under the others a workload may run an older version on purpose, as one that was
	// built since was refused.
	for i := range built {
		built[i].Service.Refs = missing(built[i].Service.Refs, before)
	}
	r.remember(func(rec *Record) { rec.Sources = "" })
	report, err := r.session.nodes().Load(ctx, images.Tagged(built))
	if err != nil {
		return err
	}
	r.remember(func(rec *Record) {
		rec.Images = orMade(rec.Images)
		for _, l := range report.Images {
			rec.Images[l.Ref] = Image{Digest: l.Digest, ID: l.ConfigDigest}
		}
	})
	return nil
}

// added returns the services that something refers to only now, or by another account or tag.
func added(before, now *workspace) []images.Service {
	return slices.DeleteFunc(slices.Clone(now.found.Services), func(s images.Service) bool { return len(missing(s.Refs, before)) == 0 })
}

// mends reports whether files may take away the cause for which the last change of launch files and charts was refused:
// they go into a service that would come with it, which no other rule knows of.
func (r *reloader) mends(ctx context.Context, files []string) bool {
	if r.tried == nil {
		return false
	}
	fresh := added(r.bring.workspace, r.tried)
	if len(fresh) == 0 {
		return false
	}
	dependents, err := images.NewDependents(ctx, r.dir, fresh)
	return err != nil || len(dependents.Affected(files)) > 0 // what can't be told is tried
}

// unload takes those names of images from the nodes that only one of two states of the workspace refers to: each node's own,
// as a load that was broken off may have come to some of them alone. It runs whatever became of ctx.
func (r *reloader) unload(ctx context.Context, only, not *workspace) error {
	var gone []string
	for _, s := range only.found.Services {
		for _, ref := range missing(s.Refs, not) {
			gone = append(gone, images.Normalised(ref))
		}
	}
	if len(gone) == 0 {
		return nil
	}
	r.remember(func(rec *Record) {
		rec.Images = orMade(rec.Images)
		for _, ref := range gone {
			delete(rec.Images, ref)
		}
	})
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askLimit)
	defer cancel()
	return r.session.nodes().Each(ctx, func(ctx context.Context, node *images.Node) error { return node.Untag(ctx, gone...) })
}

// missing returns those of the references that none of a workspace's services has.
func missing(refs []name.Tag, in *workspace) []name.Tag {
	return slices.DeleteFunc(slices.Clone(refs), func(ref name.Tag) bool {
		return slices.ContainsFunc(in.found.Services, func(s images.Service) bool { return slices.Contains(s.Refs, ref) })
	})
}
