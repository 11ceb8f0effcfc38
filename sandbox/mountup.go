package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
)

// annotationMounted holds, on a Pod template, what is mounted into the Pods: when that changes they are replaced.
const annotationMounted = "dev.dynsandbox/mounted"

// ensureMounts has the services' folders mounted into Pods, with the content of the images that stand on the nodes, or
// with the mount off nothing. Whatever became of an earlier session, the folders are right afterwards.
func (b *bringUp) ensureMounts(ctx context.Context) error {
	b.mounts = nil
	if !b.record.Mount {
		return b.client.SetMounts(ctx, nil)
	}
	if err := b.fillMounts(ctx); err != nil {
		return err
	}
	b.mounts = b.session.mounts().of(b.workspace)
	for _, node := range cluster.StandingNodes(b.session.docker, b.session.state.Name, b.session.state.Dir) {
		if err := cluster.CheckMounts(ctx, node, b.mounts); err != nil {
			return err
		}
	}
	return b.client.SetMounts(ctx, b.mounts)
}

// fillMounts writes the folders that don't have what the nodes have.
func (b *bringUp) fillMounts(ctx context.Context) error {
	m := b.session.mounts()
	var other []images.Service
	for _, svc := range b.workspace.found.Services {
		if in, ok := m.read(svc.Name); !ok || in.Image != b.record.Images[images.Normalised(svc.Refs[0])].Digest {
			other = append(other, svc)
		}
	}
	if len(other) == 0 {
		return nil
	}
	var built []images.Built
	for _, svc := range other {
		if img := b.built[svc.Refs[0]]; img != nil {
			built = append(built, images.Built{Service: svc, Image: img})
		}
	}
	if len(built) < len(other) {
		var err error
		if built, err = b.builders().All(ctx, other); err != nil {
			return err
		}
	}
	for _, s := range built {
		err := m.put(s.Service.Name, s.Image, pointsOf(b.workspace, s.Service))
		if errors.Is(err, images.ErrNoDirectory) {
			b.feed.note(fmt.Sprintf("%s isn't mounted: %v", s.Service.Name, err))
			err = m.forget(s.Service.Name)
		}
		if err != nil {
			return fmt.Errorf("write what is mounted of %s: %w", s.Service.Name, err)
		}
	}
	return nil
}

// of returns the mounts of a workspace's services.
func (m mounts) of(w *workspace) []cluster.Mount {
	var out []cluster.Mount
	for _, svc := range w.found.Services {
		in, ok := m.read(svc.Name)
		if !ok {
			continue
		}
		mount := cluster.Mount{Folder: svc.Name, Path: in.Path, Points: pointsBelow(w, svc, in.Path)}
		for _, ref := range svc.Refs {
			mount.Images = append(mount.Images, images.Normalised(ref))
		}
		out = append(out, mount)
	}
	return out
}

// pointsOf are the places at which the charts have volumes in a service's containers, and that of data sets, sorted.
func pointsOf(w *workspace, svc images.Service) []string {
	var out []string
	for _, o := range w.rendered.Objects {
		for _, c := range containersOf(o) {
			image, _ := c["image"].(string)
			if !slices.ContainsFunc(svc.Refs, func(ref name.Tag) bool { return images.Normalised(ref) == normalised(image) }) {
				continue
			}
			for _, v := range volumeMounts(c) {
				if v.sub == "" { // one of a part of a volume may be a file
					out = append(out, v.path)
				}
			}
		}
	}
	if w.readsDatasets(svc) {
		out = append(out, cluster.DatasetsPath)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func pointsBelow(w *workspace, svc images.Service, dir string) []string {
	return slices.DeleteFunc(pointsOf(w, svc), func(p string) bool { return !strings.HasPrefix(p, dir+"/") })
}

type volumeMount struct{ path, sub string }

func volumeMounts(container map[string]any) []volumeMount {
	list, _, _ := unstructured.NestedSlice(container, "volumeMounts")
	var out []volumeMount
	for _, e := range list {
		m, _ := e.(map[string]any)
		path, _ := m["mountPath"].(string)
		sub, _ := m["subPath"].(string)
		if expr, _ := m["subPathExpr"].(string); expr != "" {
			sub = expr
		}
		out = append(out, volumeMount{path, sub})
	}
	return out
}

// takes returns the mount that a container of a chart gets.
func takes(all []cluster.Mount, container map[string]any) (cluster.Mount, bool) {
	image, _ := container["image"].(string)
	var paths []string
	for _, v := range volumeMounts(container) {
		paths = append(paths, v.path)
	}
	for _, m := range all {
		if m.Takes(image, paths...) {
			return m, true
		}
	}
	return cluster.Mount{}, false
}

// annotateMounts notes on a workload's template what is mounted into its Pods.
func annotateMounts(o cluster.Object, all []cluster.Mount) error {
	if !cluster.IsWorkload(o) {
		return nil
	}
	var in []string
	for _, c := range containersOf(o) {
		if m, ok := takes(all, c); ok {
			in = append(in, m.Folder+" at "+m.Path)
		}
	}
	if len(in) == 0 {
		return nil
	}
	return unstructured.SetNestedField(o.Object, strings.Join(in, ", "), "spec", "template", "metadata", "annotations", annotationMounted)
}
