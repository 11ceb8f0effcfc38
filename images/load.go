package images

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Loaded is what a load did for one name.
type Loaded struct {
	Ref           string `json:"ref"`           // normalised: "docker.io/dynamos1/agent:main"
	Digest        string `json:"digest"`        // of the manifest: what containerd names
	ConfigDigest  string `json:"configDigest"`  // the image ID: what a running container's imageID shows
	Sent          bool   `json:"sent"`          // false: the node had this digest under this name
	LayersSent    int    `json:"layersSent"`    // by this load; of a layer that several images share, counted for the first
	LayersPresent int    `json:"layersPresent"` // the nodes had them
}

// Report is what a load did.
type Report struct {
	Images  []Loaded      `json:"images"`            // by reference
	Bytes   int64         `json:"bytes"`             // content sent (to each node that lacked something), without the archive's own headers
	Removed []string      `json:"removed,omitempty"` // IDs of images that no name stood for any more
	Took    time.Duration `json:"took"`
}

// Load brings images onto a node under the given names, in one archive that holds only what the node lacks, and makes
// sure that they can run. Of an image that the node has under its name nothing is sent. A name that stood for another
// image moves, and when that was the image's last, its ID goes too, so that containerd collects it.
//
// After an error no name of a broken image is left: a later load begins anew, and a Pod that asks for it fails
// with a clear message. The layers that arrived are kept for a while by containerd, unnamed.
func Load(ctx context.Context, node Node, images map[name.Tag]v1.Image) (Report, error) {
	return LoadAll(ctx, Nodes{"": node}, images)
}

// Normalised is a reference as containerd's CRI writes it: with the registry, and Docker Hub as docker.io
// ("docker.io/dynamos1/agent:main").
func Normalised(tag name.Tag) string {
	registry := tag.RegistryStr()
	if registry == name.DefaultRegistry {
		registry = "docker.io"
	}
	return registry + "/" + tag.RepositoryStr() + ":" + tag.TagStr()
}

// plan is what a load has to send to nodes in certain states.
type plan struct {
	report Report
	send   []named
	blobs  []blob
}

// makePlan plans one archive for nodes in these states: it holds what any of them lacks.
func makePlan(all []named, states ...nodeState) plan {
	var p plan
	in := map[v1.Hash]bool{}
	add := func(b blob) bool {
		if in[b.digest] {
			return false
		}
		in[b.digest] = true
		p.blobs = append(p.blobs, b)
		p.report.Bytes += b.size
		return true
	}
	for _, n := range all {
		l := Loaded{Ref: n.ref, Digest: n.parts.manifest.digest.String(), ConfigDigest: n.parts.config.digest.String()}
		if !slices.ContainsFunc(states, func(s nodeState) bool { return s.names[n.ref] != l.Digest || !s.runs(n.parts) }) {
			l.LayersPresent = len(n.parts.layers)
			p.report.Images = append(p.report.Images, l)
			continue
		}
		l.Sent = true
		p.send = append(p.send, n)
		add(n.parts.manifest)
		add(n.parts.config)
		for i, layer := range n.parts.layers {
			switch {
			case !slices.ContainsFunc(states, func(s nodeState) bool { return s.lacks(n.parts, i) }):
				l.LayersPresent++
			case add(layer):
				l.LayersSent++
			}
		}
		p.report.Images = append(p.report.Images, l)
	}
	return p
}

// sendsMoreThan reports whether p has something to send that other had not.
func (p plan) sendsMoreThan(other plan) bool {
	return slices.ContainsFunc(p.blobs, func(b blob) bool {
		return !slices.ContainsFunc(other.blobs, func(o blob) bool { return o.digest == b.digest })
	})
}

// settle makes sure of what an import left on a node, and returns the names of old images that it removed.
func (p plan) settle(ctx context.Context, node Node, imported error) (removed []string, err error) {
	if imported != nil {
		return nil, errors.Join(imported, unnameBroken(ctx, node, p.send))
	}
	after, err := readNodeState(ctx, node)
	if err == nil {
		err = verify(after, p.send)
	}
	if err != nil {
		return nil, errors.Join(err, unnameBroken(ctx, node, p.send))
	}
	if removed, err = unnameOld(ctx, node, after); err != nil {
		return nil, nil // what was loaded runs all the same, and the next load tries again
	}
	return removed, nil
}

// verify checks that every image is on the node under its name, whole and unpacked: an import that returned no error
// is no proof of it.
func verify(s nodeState, images []named) error {
	var errs []error
	for _, n := range images {
		if got := s.names[n.ref]; got != n.parts.manifest.digest.String() {
			errs = append(errs, fmt.Errorf("load %s: the node has %q under this name afterwards, not %s", n.ref, got, n.parts.manifest.digest))
		} else if !s.runs(n.parts) {
			errs = append(errs, fmt.Errorf("load %s: it is incomplete on the node", n.ref))
		}
	}
	return errors.Join(errs...)
}
