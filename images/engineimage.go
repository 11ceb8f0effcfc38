package images

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// keptImage is an image of the engine that was read: all of it but the layers is here, and these are in the cache,
// uncompressed and named by their diffIDs.
type keptImage struct {
	Platform v1.Platform `json:"platform"`
	Config   v1.Config   `json:"config"`
	Layers   []v1.Hash   `json:"layers"`
}

// readEngineImage makes sure that an image of the engine is in the cache. The engine can only give out all of an image
// at once, so that it is asked only for images with a layer that the cache doesn't have. One that can't run here is an
// error of the service that it was made for: found by the load, it would be one of all services.
func readEngineImage(ctx context.Context, docker client.APIClient, cache, id string) (keptImage, error) {
	info, err := docker.ImageInspect(ctx, id)
	if err != nil {
		return keptImage{}, fmt.Errorf("inspect image %s: %w", id, err)
	}
	kept := keptImage{Platform: v1.Platform{OS: info.Os, Architecture: info.Architecture, Variant: info.Variant}}
	if err := checkPlatform(kept.Platform); err != nil {
		return kept, err
	}
	if err := os.MkdirAll(layersDir(cache), 0o755); err != nil {
		return kept, err
	}
	for _, s := range info.RootFS.Layers {
		d, err := v1.NewHash(s)
		if err != nil {
			return kept, fmt.Errorf("image %s: %w", id, err)
		}
		kept.Layers = append(kept.Layers, d)
	}
	if err := saveLayers(ctx, docker, layersDir(cache), id, kept.Layers); err != nil {
		return kept, err
	}
	if kept.Config, err = imageConfig(info); err != nil {
		return kept, fmt.Errorf("image %s: %w", id, err)
	}
	// Our labels say when and for whom it was built: with them, equal content would not have an equal digest.
	maps.DeleteFunc(kept.Config.Labels, func(key, _ string) bool { return strings.HasPrefix(key, labelPrefix) })
	return kept, nil
}

// imageConfig is an image's configuration. The two types differ in name only: both are the image specification's.
func imageConfig(info image.InspectResponse) (config v1.Config, err error) {
	raw, err := json.Marshal(info.Config)
	if err != nil {
		return config, err
	}
	return config, json.Unmarshal(raw, &config)
}

// image returns the image, with more layers on it. An error means that its own are no longer in the cache.
func (k keptImage) image(cache string, more ...v1.Layer) (v1.Image, error) {
	layers := make([]v1.Layer, len(k.Layers), len(k.Layers)+len(more))
	for i, d := range k.Layers {
		var err error
		if layers[i], err = fileLayer(layerPath(layersDir(cache), d), d); err != nil {
			return nil, err
		}
	}
	return assemble(k.Platform, k.Config, append(layers, more...)...)
}

// paths are the files of the image's layers, lowest first.
func (k keptImage) paths(cache string) []string {
	paths := make([]string, len(k.Layers))
	for i, d := range k.Layers {
		paths[i] = layerPath(layersDir(cache), d)
	}
	return paths
}

func layersDir(cache string) string { return filepath.Join(cache, "layers") }

func layerPath(dir string, diffID v1.Hash) string { return filepath.Join(dir, diffID.Hex+".tar") }

// layerLife is how long a layer that no image uses stays in the cache.
const layerLife = 7 * 24 * time.Hour

// saveLayers makes sure that an image's layers are in the folder dir.
func saveLayers(ctx context.Context, docker client.APIClient, dir, id string, diffIDs []v1.Hash) error {
	if touchAll(dir, diffIDs) {
		return nil
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return fmt.Errorf("wait for another image to be read: %w", err)
	}
	defer unlock()
	if touchAll(dir, diffIDs) { // somebody else's image had them
		return nil
	}
	stream, err := docker.ImageSave(ctx, []string{id})
	if err != nil {
		return fmt.Errorf("read image %s from the engine: %w", id, err)
	}
	defer stream.Close()
	wanted := map[string]bool{}
	for _, d := range diffIDs {
		wanted[d.Hex] = true
	}
	if err := splitSaved(ctx, stream, dir, wanted); err != nil {
		return fmt.Errorf("read image %s from the engine: %w", id, err)
	}
	if !touchAll(dir, diffIDs) {
		return fmt.Errorf("read image %s from the engine: not all of its layers are in what it gave", id)
	}
	return removeOld(dir, layerLife)
}

// touchAll reports whether all layers are in dir, and marks them as used now.
func touchAll(dir string, diffIDs []v1.Hash) bool {
	now := time.Now()
	for _, d := range diffIDs {
		if os.Chtimes(layerPath(dir, d), now, now) != nil {
			return false
		}
	}
	return true
}

// splitSaved reads the archive that the engine makes of an image, and keeps those of its files that are wanted layers.
// Which file is which layer is told by content alone: the engines' own tables differ, and come last.
func splitSaved(ctx context.Context, stream io.Reader, dir string, wanted map[string]bool) error {
	var read int64
	return eachFile(stream, func(h *tar.Header, r io.Reader) error {
		if err := keepLayer(r, dir, wanted); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		if read += h.Size; h.Size >= progressStep {
			progress.Report(ctx, progress.Update{What: "read the image from the engine", Done: read, Unit: "bytes"})
		}
		return nil
	})
}

// eachFile calls visit for every regular file of an archive.
func eachFile(archive io.Reader, visit func(h *tar.Header, r io.Reader) error) error {
	tr := tar.NewReader(archive)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := visit(h, tr); err != nil {
			return err
		}
	}
}

// keepLayer writes r, uncompressed, to dir if it is a wanted layer that isn't there yet.
func keepLayer(r io.Reader, dir string, wanted map[string]bool) error {
	br := bufio.NewReader(r)
	if magic, _ := br.Peek(2); len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		zr, err := gzip.NewReader(br)
		if err != nil {
			return err
		}
		r = zr
	} else {
		r = br
	}
	_, err := keepIf(r, dir, func(sum v1.Hash) bool { return wanted[sum.Hex] && !exists(layerPath(dir, sum)) })
	return err
}

// keepIf writes r to the folder of layers, under its digest, if wanted says so once that is known.
func keepIf(r io.Reader, dir string, wanted func(sum v1.Hash) bool) (v1.Hash, error) {
	f, err := os.CreateTemp(dir, "part-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.Remove(f.Name())
	h := newHasher()
	_, err = io.Copy(io.MultiWriter(f, h), r)
	if err := errors.Join(err, f.Close()); err != nil {
		return v1.Hash{}, err
	}
	sum := h.hash()
	if !wanted(sum) {
		return sum, nil
	}
	return sum, os.Rename(f.Name(), layerPath(dir, sum))
}

// removeOld removes what is in a folder and was not used for a time.
func removeOld(dir string, life time.Duration) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < life || e.Name() == "lock" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}
