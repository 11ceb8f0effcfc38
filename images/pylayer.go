package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// builtRecord is the record of an image that the engine built, in a folder that is named by what is baked into it.
type builtRecord struct {
	Baked map[string]string `json:"baked"` // state of each input that a layer can't replace, by name
	Image keptImage         `json:"image"`
	Base  layerBase         `json:"base"`
}

// layered is a service's inputs, taken apart: what a layer can bring, and what only the engine can.
type layered struct {
	plan    layerPlan
	context contextTree       // what the builder sees of it
	baked   map[string]string // builtRecord's
	reasons map[string]string // who reads a baked file, for people
}

// carried reports whether a layer can bring a file of the context.
func (l layered) carried(p string) bool {
	_, baked := l.baked[p]
	return !baked
}

// takeApart tells which inputs a layer can bring. An error says, for people, why none can.
func (in pythonInputs) takeApart() (l layered, err error) {
	if l.context, err = in.context.withoutIgnored(); err != nil {
		return l, err
	}
	// What it says of places in the Dockerfile is for people, who have the workspace's own.
	if l.plan, err = planLayer(in.written, in.args, in.bases, l.context); err != nil {
		return l, err
	}
	library := maps.Clone(in.shared)
	delete(library, "Dockerfile")
	l.reasons = l.plan.baked
	l.baked = map[string]string{
		"the builder": fmt.Sprint(builderRevision), "the Dockerfile": in.shared["Dockerfile"].hash, "the Python library": library.hash(),
		"the build's arguments": fmt.Sprint(in.args), "the machine's pip settings": textHash(in.from.pip.config),
	}
	for ref, id := range in.from.images {
		l.baked["the image "+ref] = id
	}
	for p := range in.shared {
		l.baked[p] = "shared" // their content is in the inputs above
	}
	for _, name := range ignoreFiles {
		if f, ok := in.context[name]; ok {
			l.baked[name] = f.state()
		}
	}
	for p := range l.plan.baked {
		if _, known := l.baked[p]; !known {
			l.baked[p] = l.context[p].state()
		}
	}
	return l, nil
}

// withLayer makes the image of one that the engine built earlier, and a layer. Where it can't, it returns no image and
// the reason, for people.
func (b *PythonBuilder) withLayer(ctx context.Context, svc Service, in pythonInputs) (img v1.Image, reason string, err error) {
	l, err := in.takeApart()
	if err != nil {
		return nil, err.Error(), nil
	}
	dir := b.recordDir(l)
	var r builtRecord
	if err := readJSON(filepath.Join(dir, "image.json"), &r); err != nil {
		return nil, b.difference(svc, l), nil
	}
	if !touchAll(layersDir(b.Cache), r.Image.Layers) {
		return nil, "the layers of its last build are no longer kept", nil
	}
	diff, err := r.Base.diff(l.plan, l.context, l.carried)
	if err != nil {
		return nil, err.Error(), nil
	}
	now := time.Now()
	if err := errors.Join(os.Chtimes(dir, now, now), b.setLast(svc, dir)); err != nil {
		return nil, "", err
	}
	if diff.empty() {
		img, err = r.Image.image(b.Cache)
		return img, "", err
	}
	progress.Report(ctx, progress.Update{What: "build " + svc.Name + ": a layer with the changed sources"})
	layer, err := keepLayerFile(ctx, dir, diff)
	if err != nil {
		return nil, "", err
	}
	img, err = r.Image.image(b.Cache, layer)
	return img, "", err
}

// keptSourceLayers is how many layers of sources are kept of an image: the newest, and those that an image which is
// being loaded may still be read from.
const keptSourceLayers = 3

// keepLayerFile writes a layer to a file of the folder that is named by its digest.
func keepLayerFile(ctx context.Context, dir string, diff layerDiff) (v1.Layer, error) {
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("wait for another layer: %w", err)
	}
	defer unlock()
	f, err := os.CreateTemp(dir, "part-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	h := newHasher()
	if err := errors.Join(diff.write(io.MultiWriter(f, h)), f.Close()); err != nil {
		return nil, err
	}
	diffID := h.hash()
	if err := os.Rename(f.Name(), layerPath(dir, diffID)); err != nil {
		return nil, err
	}
	if err := keepNewest(filepath.Join(dir, "*.tar"), keptSourceLayers); err != nil {
		return nil, err
	}
	return fileLayer(layerPath(dir, diffID), diffID)
}
