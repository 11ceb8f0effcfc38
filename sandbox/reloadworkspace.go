package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

// chartsLimit is how long workloads that a change of charts concerns may take to be available. Other changes wait meanwhile.
const chartsLimit = 2 * time.Minute

// workspace reads launch files and charts again and applies them.
func (r *reloader) workspace(ctx context.Context, files []string, since time.Time) {
	r.feed.add(&control.Event{Kind: control.Event_CHANGED, File: strings.Join(files, ", "), Text: workspaceItself})
	text, err := r.applyWorkspace(ctx)
	if err != nil {
		r.refuse(err)
		return
	}
	r.forgetGone()
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
	before := r.bring.workspace
	r.tried = nil
	now, err := readWorkspace(r.dir, record.BrokerPassword, r.bring.opts.Strict)
	if err != nil {
		return "", err
	}
	if err := r.loadNew(ctx, before, now); err != nil {
		r.tried = now
		return "", errors.Join(err, r.unload(ctx, now, before))
	}
	said, err := r.goOver(ctx, before, now)
	if err != nil {
		r.tried = now
		return "", errors.Join(err, r.goBack(ctx, before, now))
	}
	if err := r.unload(ctx, before, now); err != nil {
		r.session.log.Warn("images that nothing refers to any more stay on the node", "error", err)
	}
	return said, nil
}

// goOver brings the platform from one state of the workspace to another.
func (r *reloader) goOver(ctx context.Context, before, now *workspace) (string, error) {
	r.bring.workspace = now
	r.session.keepReady(r.bring)
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
	waiting, done := r.patient(waiting)
	defer done()
	return said, r.orNewer(waiting, r.bring.client.WaitStarted(waiting, touched(now.rendered.Objects, report), began))
}

// goBack takes back what goOver has done so far, whatever became of ctx. What was added is removed.
func (r *reloader) goBack(ctx context.Context, before, now *workspace) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), restartLimit)
	defer cancel()
	r.bring.workspace = before
	r.session.keepReady(r.bring)
	err := func() error {
		if _, err := r.session.applySet(ctx, before.launch, before.dir); err != nil {
			return err
		}
		report, err := r.bring.apply(ctx)
		if err != nil {
			return err
		}
		return r.bring.client.WaitReady(ctx, touched(before.rendered.Objects, report))
	}()
	if err := errors.Join(err, r.unload(ctx, now, before)); err != nil {
		return fmt.Errorf("go back to the launch files and charts of before: %w", err)
	}
	return nil
}

// touched returns those of the objects that an apply has made or changed.
func touched(objects []cluster.Object, report deployed) []cluster.Object {
	return slices.DeleteFunc(slices.Clone(objects), func(o cluster.Object) bool {
		return !slices.Contains(report.Created, o.ID()) && !slices.Contains(report.Changed, o.ID())
	})
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
