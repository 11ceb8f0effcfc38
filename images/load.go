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
	var report Report
	var err error
	// A second attempt: between asking what the node has and importing, containerd may collect a layer that no
	// image names. The import then fails, and the next question has another answer.
	for range 2 {
		report, err = loadOnce(ctx, node, all)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	report.Took = time.Since(began)
	return report, err
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

func loadOnce(ctx context.Context, node Node, all []named) (Report, error) {
	before, err := readNodeState(ctx, node)
	if err != nil {
		return Report{}, err
	}
	var report Report
	var send []named
	var blobs []blob
	in := map[v1.Hash]bool{}
	add := func(b blob) bool {
		if in[b.digest] {
			return false
		}
		in[b.digest] = true
		blobs = append(blobs, b)
		report.Bytes += b.size
		return true
	}
	for _, n := range all {
		l := Loaded{Ref: n.ref, Digest: n.parts.manifest.digest.String(), ConfigDigest: n.parts.config.digest.String()}
		if before.names[n.ref] == l.Digest && before.runs(n.parts) {
			l.LayersPresent = len(n.parts.layers)
			report.Images = append(report.Images, l)
			continue
		}
		l.Sent = true
		send = append(send, n)
		add(n.parts.manifest)
		add(n.parts.config)
		for i, layer := range n.parts.layers {
			switch {
			case !before.lacks(n.parts, i):
				l.LayersPresent++
			case add(layer):
				l.LayersSent++
			}
		}
		report.Images = append(report.Images, l)
	}
	if len(send) == 0 {
		return report, nil
	}
	if err := importArchive(ctx, node, send, blobs, report.Bytes); err != nil {
		return Report{}, errors.Join(err, unname(ctx, node, send))
	}
	after, err := readNodeState(ctx, node)
	if err == nil {
		err = verify(after, send)
	}
	if err != nil {
		return Report{}, errors.Join(err, unname(ctx, node, send))
	}
	return report, nil
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

// importArchive streams an archive into the node's containerd, which unpacks it.
func importArchive(ctx context.Context, node Node, images []named, blobs []blob, total int64) error {
	what := fmt.Sprintf("load %d images", len(images))
	if len(images) == 1 {
		what = "load " + images[0].ref
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := writeArchive(&meter{w: w, report: func(n int64) {
			progress.Report(ctx, progress.Update{What: what, Done: min(n, total), Total: total, Unit: "bytes"})
		}}, images, blobs)
		w.CloseWithError(err)
		written <- err
	}()
	_, err := node.Exec(ctx, r, "ctr", "-n", namespace, "images", "import",
		// One platform, and unpacked at once: what is missing is found now, not by the first Pod.
		"--platform", images[0].parts.platform.String(), "--snapshotter", snapshotter, "-")
	r.CloseWithError(errors.New("the import has ended"))
	if writeErr := <-written; err == nil && writeErr != nil {
		err = writeErr // importing a part of the archive is no success
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
