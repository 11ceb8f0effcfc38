package nodeimage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// role is the value of engine.LabelRole on the images that are built here.
const role = "node-image"

// Image is a node image that was built here.
type Image struct {
	Ref     string    `json:"ref"` // one of its names; the ID where it has none
	ID      string    `json:"id"`
	Size    int64     `json:"size"` // bytes
	Created time.Time `json:"created"`
	Current bool      `json:"current"` // it is the one that this version uses
}

// List returns the node images in the engine that were built here, by any version, the newest first.
func (b *Builder) List(ctx context.Context) ([]Image, error) {
	found, err := b.Docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", engine.LabelRole+"="+role))})
	if err != nil {
		return nil, fmt.Errorf("list node images: %w", err)
	}
	images := make([]Image, 0, len(found))
	for _, f := range found {
		names := slices.DeleteFunc(slices.Clone(f.RepoTags), func(t string) bool { return t == "<none>:<none>" })
		i := Image{Ref: f.ID, ID: f.ID, Size: f.Size, Created: time.Unix(f.Created, 0).UTC(), Current: slices.Contains(names, b.Ref())}
		if ours := slices.IndexFunc(names, func(t string) bool { return strings.HasPrefix(t, Repository+":") }); ours >= 0 {
			i.Ref = names[ours]
		} else if len(names) > 0 {
			i.Ref = names[0]
		}
		if i.Current {
			i.Ref = b.Ref()
		}
		images = append(images, i)
	}
	slices.SortFunc(images, func(x, y Image) int { return y.Created.Compare(x.Created) })
	return images, nil
}

// Remove removes node images that were built here, by name or ID: those given, or all but the current one. It returns
// what it removed. An image that a container uses stays, and is an error; the others are removed nevertheless.
func (b *Builder) Remove(ctx context.Context, refs ...string) (removed []string, err error) {
	images, err := b.List(ctx)
	if err != nil {
		return nil, err
	}
	remove := images[:0:0]
	if len(refs) == 0 {
		remove = slices.DeleteFunc(slices.Clone(images), func(i Image) bool { return i.Current })
	}
	for _, ref := range refs {
		at := slices.IndexFunc(images, func(i Image) bool { return i.Ref == ref || i.ID == ref || shortID(i.ID) == ref })
		if at < 0 {
			return nil, fmt.Errorf("no node image %s was built here", ref)
		}
		remove = append(remove, images[at])
	}
	var errs []error
	for _, i := range remove {
		if _, err := b.Docker.ImageRemove(ctx, i.Ref, image.RemoveOptions{PruneChildren: true}); err != nil {
			errs = append(errs, fmt.Errorf("remove node image %s: %w", i.Ref, err))
			continue
		}
		removed = append(removed, i.Ref)
	}
	return removed, errors.Join(errs...)
}

// shortID is an ID as docker shows it.
func shortID(id string) string {
	id = strings.TrimPrefix(id, "sha256:")
	return id[:min(12, len(id))]
}
