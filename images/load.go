package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Loaded is what a load did for one name.
type Loaded struct {
	Ref           string `json:"ref"`           // normalised: "docker.io/dynamos1/agent:main"
	Digest        string `json:"digest"`        // of the manifest: what containerd names
	ConfigDigest  string `json:"configDigest"`  // the image ID: what a running container's imageID shows
	Sent          bool   `json:"sent"`          // false: the node had this digest under this name
	LayersSent    int    `json:"layersSent"`    // by this load; of a layer that several images share, counted for the first
	LayersPresent int    `json:"layersPresent"` // the node had them
}

// Report is what a load did.
type Report struct {
	Images []Loaded      `json:"images"` // by reference
	Bytes  int64         `json:"bytes"`  // content sent, without the archive's own headers
	Took   time.Duration `json:"took"`
}

// cleanupTime limits what is done after a failed load. It doesn't run on the load's own context, which may be done.
const cleanupTime = 15 * time.Second

// Load brings images onto a node under the given names, in one archive that holds only what the node lacks, and makes
// sure that they can run. Of an image that the node has under its name nothing is sent. A name that stood for another
// image moves; containerd collects what nothing names any more.
//
// After an error no name of a broken image is left: a later load begins anew, and a Pod that asks for it fails
// with a clear message. The layers that arrived are kept for a while by containerd, unnamed.
func Load(ctx context.Context, node Node, images map[name.Tag]v1.Image) (Report, error) {
	began := time.Now()
	all := make([]named, 0, len(images))
	for _, tag := range slices.SortedFunc(maps.Keys(images), func(a, b name.Tag) int { return cmp.Compare(Normalised(a), Normalised(b)) }) {
		p, err := takeApart(images[tag])
		if err != nil {
			return Report{}, fmt.Errorf("read image %s: %w", tag, err)
		}
		all = append(all, named{Normalised(tag), p})
	}
	var done plan
	for attempt := 0; ; attempt++ {
		next, err := load(ctx, node, all)
		if done = next; err == nil {
			break
		}
		// Between asking what the node has and importing, containerd may collect a layer that no image names. The import
		// then fails, and the next question has another answer: only then is there a second attempt.
		if attempt > 0 || ctx.Err() != nil || errors.Is(err, errSource) {
			return Report{}, err
		}
		if again, stateErr := readNodeState(ctx, node); stateErr != nil || makePlan(again, all).report.Bytes == done.report.Bytes {
			return Report{}, err
		}
	}
	done.report.Took = time.Since(began)
	return done.report, nil
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

// plan is what a load has to send to a node in a certain state.
type plan struct {
	report Report
	send   []named
	blobs  []blob
}

func makePlan(s nodeState, all []named) plan {
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
		if s.names[n.ref] == l.Digest && s.runs(n.parts) {
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
			case !s.lacks(n.parts, i):
				l.LayersPresent++
			case add(layer):
				l.LayersSent++
			}
		}
		p.report.Images = append(p.report.Images, l)
	}
	return p
}

// load makes one attempt.
func load(ctx context.Context, node Node, all []named) (plan, error) {
	before, err := readNodeState(ctx, node)
	if err != nil {
		return plan{}, err
	}
	p := makePlan(before, all)
	if len(p.send) == 0 {
		return p, nil
	}
	if err := importArchive(ctx, node, p); err != nil {
		return p, errors.Join(err, unname(ctx, node, p.send))
	}
	after, err := readNodeState(ctx, node)
	if err == nil {
		err = verify(after, p.send)
	}
	if err != nil {
		return p, errors.Join(err, unname(ctx, node, p.send))
	}
	return p, nil
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

// errSource marks an archive that could not be written: a layer's file that is gone, or not what it was.
var errSource = errors.New("read what is to be loaded")

// importArchive streams what a plan sends into the node's containerd, which unpacks it.
func importArchive(ctx context.Context, node Node, p plan) error {
	what := fmt.Sprintf("load %d images", len(p.send))
	if len(p.send) == 1 {
		what = "load " + p.send[0].ref
	}
	total := p.report.Bytes
	r, w := io.Pipe()
	ended := errors.New("the import has ended")
	written := make(chan error, 1)
	go func() {
		err := writeArchive(&meter{w: w, report: func(n int64) {
			progress.Report(ctx, progress.Update{What: what, Done: min(n, total), Total: total, Unit: "bytes"})
		}}, p.send, p.blobs)
		w.CloseWithError(err)
		written <- err
	}()
	_, err := node.Exec(ctx, r, "ctr", "-n", namespace, "images", "import",
		// One platform, and unpacked at once: what is missing is found now, not by the first Pod.
		"--platform", p.send[0].parts.platform.String(), "--snapshotter", snapshotter, "-")
	r.CloseWithError(ended)
	if writeErr := <-written; writeErr != nil && !errors.Is(writeErr, ended) {
		// The cause of whatever the node says of a broken stream; and a part of an archive is no success.
		err = errors.Join(fmt.Errorf("%w: %w", errSource, writeErr), err)
	} else if writeErr != nil && err == nil {
		err = writeErr
	}
	if err != nil {
		return fmt.Errorf("import into the node: %w", err)
	}
	return nil
}

// unname removes from the node those of the names that stand for the images of a failed load and can't run.
func unname(ctx context.Context, node Node, images []named) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
	defer cancel()
	s, err := readNodeState(ctx, node)
	if err != nil {
		return fmt.Errorf("clean up after it: %w", err)
	}
	var broken []string
	for _, n := range images {
		if s.names[n.ref] == n.parts.manifest.digest.String() && !s.runs(n.parts) {
			broken = append(broken, n.ref)
		}
	}
	return Unname(ctx, node, broken...)
}

// Unname removes names of images from a node; containerd then collects what nothing names any more.
func Unname(ctx context.Context, node Node, refs ...string) error {
	if len(refs) == 0 {
		return nil
	}
	if _, err := node.Exec(ctx, nil, append([]string{"ctr", "-n", namespace, "images", "rm"}, refs...)...); err != nil {
		return fmt.Errorf("remove names of images from the node: %w", err)
	}
	return nil
}

// meter reports how much went through it, at steps that a screen can follow.
type meter struct {
	w        io.Writer
	n, shown int64
	report   func(int64)
}

const meterStep = 4 << 20

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.n += int64(n)
	if m.n-m.shown >= meterStep {
		m.shown = m.n
		m.report(m.n)
	}
	return n, err
}
