package images

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// readLayout reads the image for this machine out of an OCI layout. Its layers, compressed or not, are kept in the cache
// as they unpack.
func readLayout(ctx context.Context, cache, dir string) (keptImage, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return keptImage{}, fmt.Errorf("read the OCI layout %s: %w", filepath.Base(dir), err)
	}
	img, err := forThisMachine(index)
	if err != nil {
		return keptImage{}, fmt.Errorf("OCI layout %s: %w", filepath.Base(dir), err)
	}
	kept, err := keepImage(ctx, cache, img)
	if err != nil {
		return keptImage{}, fmt.Errorf("read the OCI layout %s: %w", filepath.Base(dir), err)
	}
	return kept, nil
}

// keepImage makes sure that an image's layers are in the cache, uncompressed.
func keepImage(ctx context.Context, cache string, img v1.Image) (keptImage, error) {
	cf, err := img.ConfigFile()
	if err != nil {
		return keptImage{}, err
	}
	kept := keptImage{
		Platform: v1.Platform{OS: cf.OS, Architecture: cf.Architecture, Variant: cf.Variant}, Config: cf.Config, Layers: cf.RootFS.DiffIDs,
	}
	dir := layersDir(cache)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return kept, err
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return kept, fmt.Errorf("wait for another image to be read: %w", err)
	}
	defer unlock()
	for _, diffID := range kept.Layers {
		if touchAll(dir, []v1.Hash{diffID}) {
			continue
		}
		if ctx.Err() != nil {
			return kept, ctx.Err()
		}
		progress.Report(ctx, progress.Update{What: "unpack layer " + diffID.Hex[:12]})
		l, err := img.LayerByDiffID(diffID)
		if err != nil {
			return kept, err
		}
		if err := unpackLayer(l, dir, diffID); err != nil {
			return kept, fmt.Errorf("layer %s: %w", diffID, err)
		}
	}
	return kept, removeOld(dir, layerLife)
}

// unpackLayer writes a layer to the cache, and checks that it is what it should be.
func unpackLayer(l v1.Layer, dir string, diffID v1.Hash) error {
	r, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := keepIf(r, dir, func(sum v1.Hash) bool { return sum == diffID })
	if err == nil && got != diffID {
		err = fmt.Errorf("its content is %s", got)
	}
	return err
}
