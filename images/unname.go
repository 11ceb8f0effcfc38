package images

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// cleanupTime limits what is done after a failed load. It doesn't run on the load's own context, which may be done.
const cleanupTime = 15 * time.Second

// unnameBroken removes from the node those of the names that stand for the images of a failed load and can't run.
func unnameBroken(ctx context.Context, node Node, images []named) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	s, err := readNodeState(ctx, node)
	if err != nil {
		return fmt.Errorf("clean up after it: %w", err)
	}
	digests := map[string]bool{}
	var broken []string
	for _, n := range images {
		if d := n.parts.manifest.digest.String(); s.names[n.ref] == d && !s.runs(n.parts) {
			broken = append(broken, n.ref)
			digests[d] = true
		}
	}
	ids := slices.DeleteFunc(s.unusedIDs(broken), func(id string) bool { return !digests[s.names[id]] })
	return unname(ctx, node, append(broken, ids...))
}

// unnameOld removes the names that a node has for images which no other name stands for any more, since their tags
// moved, and returns them.
func unnameOld(ctx context.Context, node Node, s nodeState) ([]string, error) {
	ids := s.unusedIDs(nil)
	return ids, unname(ctx, node, ids)
}

// unusedIDs lists the image IDs among the names for whose image there is no other name (but for those in gone), and of
// which no container was made.
//
// containerd's CRI gives every image its ID ("sha256:" and the configuration's digest) as a second name. It leaves
// the removal to the kubelet, which kind tells never to collect images: the name would keep the image for good.
func (s nodeState) unusedIDs(gone []string) []string {
	wanted := map[string]bool{}
	for ref, digest := range s.names {
		if !isID(ref) && !slices.Contains(gone, ref) {
			wanted[digest] = true
		}
	}
	var ids []string
	for ref, digest := range s.names {
		if isID(ref) && !wanted[digest] && !s.used[ref] {
			ids = append(ids, ref)
		}
	}
	slices.Sort(ids)
	return ids
}

func isID(ref string) bool { return strings.HasPrefix(ref, "sha256:") }

// unname removes names of images from a node; containerd then collects what neither a name nor a container holds.
func unname(ctx context.Context, node Node, refs []string) error {
	if len(refs) == 0 {
		return nil
	}
	if _, err := node.Exec(ctx, nil, append([]string{"ctr", "-n", namespace, "images", "rm"}, refs...)...); err != nil {
		return fmt.Errorf("remove names of images from the node: %w", err)
	}
	return nil
}
