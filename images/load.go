package images

import (
	"context"
	"slices"
	"sync"
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
	Bytes   int64         `json:"bytes"`             // content sent, to each node that lacked something
	Removed []string      `json:"removed,omitempty"` // IDs of images that no name stood for any more
	Took    time.Duration `json:"took"`
}

// Load brings images onto a node: see [Nodes.Load].
func (n *Node) Load(ctx context.Context, images map[name.Tag]v1.Image) (Report, error) {
	return Nodes{"": n}.Load(ctx, images)
}

// Load brings images onto all nodes at the same time, under the given names, and makes sure that the kubelets find them. Only
// what a node lacks is sent; it is read once, however many nodes there are, and is never in memory as a whole: the nodes
// get the same at the pace of the slowest. Of an image that a node has under its name nothing is sent. A name that
// stood for another image moves, and when that was the image's last, its ID goes too, so that containerd collects it.
//
// On each node, images get their names when all of them are there and unpacked: no name ever stands for a broken one, and where
// something of them can't arrive, names stand for what they stood for. A node that fails keeps the others from nothing; the
// error says which.
func (n Nodes) Load(ctx context.Context, images map[name.Tag]v1.Image) (Report, error) {
	began := time.Now()
	ctx = inNamespace(ctx)
	all, err := takeAllApart(images)
	if err != nil {
		return Report{}, err
	}
	loads := nodeLoads{}
	for name, node := range n {
		loads[name] = &nodeLoad{node: node}
	}
	defer loads.end(ctx)
	loads.each(func(l *nodeLoad) error { return l.begin(ctx, all) })
	r := loads.report(all)
	loads.send(ctx, all, r.Bytes)
	var mu sync.Mutex
	loads.each(func(l *nodeLoad) error {
		removed, err := l.finish(ctx)
		mu.Lock()
		defer mu.Unlock()
		r.Removed = append(r.Removed, removed...)
		return err
	})
	if err := loads.err(); err != nil {
		return Report{}, err
	}
	slices.Sort(r.Removed)
	r.Removed = slices.Compact(r.Removed) // several nodes had them
	r.Took = time.Since(began)
	return r, nil
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

// nodeLoads are the parts of one load, by the names of the nodes.
type nodeLoads map[string]*nodeLoad

// each does something with all nodes that haven't failed, at the same time.
func (l nodeLoads) each(do func(*nodeLoad) error) {
	var wg sync.WaitGroup
	for _, one := range l {
		if one.err == nil {
			wg.Go(func() { one.err = do(one) })
		}
	}
	wg.Wait()
}

// end ends all of them, those that failed too.
func (l nodeLoads) end(ctx context.Context) {
	var wg sync.WaitGroup
	for _, one := range l {
		wg.Go(func() { one.end(ctx) })
	}
	wg.Wait()
}

func (l nodeLoads) err() error {
	errs := map[string]error{}
	for name, one := range l {
		errs[name] = one.err
	}
	return joinErrors(errs)
}

// report says what is to be sent.
func (l nodeLoads) report(all []named) Report {
	var r Report
	counted := map[v1.Hash]bool{}
	lacked := func(b blob) bool {
		for _, one := range l {
			if one.lacks[b.digest] {
				return true
			}
		}
		return false
	}
	for _, img := range all {
		now := Loaded{Ref: img.ref, Digest: img.parts.manifest.digest.String(), ConfigDigest: img.parts.config.digest.String()}
		for _, one := range l {
			now.Sent = now.Sent || one.wants(img)
		}
		for i, b := range img.parts.contents() { // layers first
			isLayer := i < len(img.parts.layers)
			switch {
			case !lacked(b):
				if isLayer {
					now.LayersPresent++
				}
			case !counted[b.digest]:
				counted[b.digest] = true
				r.Bytes += b.size
				if isLayer {
					now.LayersSent++
				}
			}
		}
		r.Images = append(r.Images, now)
	}
	return r
}
