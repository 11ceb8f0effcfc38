package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
)

// With the mount on, a change that only concerns an image's working directory is in the platform as soon as it is in the
// service's folder and the workloads' processes were restarted. The image follows behind it, so that a Pod without the
// mount would run the same.

// errElsewhere is the error of a change that the mounts of the Pods can't follow.
var errElsewhere = errors.New("its working directory isn't where it was: what is mounted there is decided by a bring-up")

// follow loads the images of what the mounts have brought. Nothing restarts for it.
func (r *reloader) follow(ctx context.Context, nodes images.Nodes, built []images.Built) {
	if _, err := nodes.Load(ctx, images.Tagged(built)); err != nil {
		r.remember(func(rec *Record) { forgetImages(rec, built) })
		r.feed.note(fmt.Sprintf("mounted, but the image isn't on the node; the next reload or up loads it: %v", r.session.scrub(err)))
	}
}

// canMount reports whether the mounts can bring all that changed.
func (o *roll) canMount() bool {
	m := o.r.session.mounts()
	for _, b := range o.built {
		in, ok := m.read(b.Service.Name)
		if !ok {
			return false
		}
		d, err := m.reader.Read(b.Image)
		if err != nil || d.Path != in.Path || d.Outside != in.Outside {
			return false
		}
	}
	for _, w := range o.workloads {
		for _, c := range containersOf(w.object) {
			image, _ := c["image"].(string)
			if _, changed := o.changed[normalised(image)]; !changed {
				continue
			}
			if _, ok := takes(o.r.bring.mounts, c); !ok {
				return false
			}
		}
	}
	return true
}

// mount puts what changed into the mounted folders, if there are any.
func (o *roll) mount() *failure {
	m, w := o.r.session.mounts(), o.r.bring.workspace
	for _, b := range o.built {
		name := b.Service.Name
		i := slices.IndexFunc(o.r.bring.mounts, func(x cluster.Mount) bool { return x.Folder == name })
		if i < 0 {
			continue
		}
		d, err := m.reader.Read(b.Image)
		if err == nil && d.Path != o.r.bring.mounts[i].Path {
			err = errElsewhere
		}
		if err == nil && o.r.proofs.of(name) == nil { // else what is kept is the last good version
			err = m.keep(name)
		}
		if err == nil {
			o.kept = append(o.kept, name)
			err = m.put(name, b.Image, pointsOf(w, b.Service))
		}
		if err != nil {
			return &failure{err: fmt.Errorf("mount %s: %w", name, err)}
		}
	}
	return nil
}

// unmount goes back to what was in the mounted folders before.
func (o *roll) unmount() error {
	m := o.r.session.mounts()
	var errs []error
	for _, name := range o.kept {
		errs = append(errs, m.goBack(name))
	}
	o.kept = nil
	return errors.Join(errs...)
}
