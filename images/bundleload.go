package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"
)

// bundleReader reads a bundle's entries.
type bundleReader struct {
	zr *zstd.Decoder
	tr *tar.Reader
}

// largestManifest bounds what is held in memory of a file that may not be a bundle at all.
const largestManifest = 64 << 20

// openBundle reads a bundle's manifest.
func openBundle(r io.Reader) (*bundleReader, Bundle, error) {
	var b Bundle
	zr, err := zstd.NewReader(r)
	if err != nil {
		return nil, b, err
	}
	br := &bundleReader{zr: zr, tr: tar.NewReader(zr)}
	h, err := br.tr.Next()
	switch {
	case errors.Is(err, zstd.ErrMagicMismatch), errors.Is(err, tar.ErrHeader), errors.Is(err, io.EOF), err == nil && h.Name != bundleManifest:
		err = ErrNoBundle
	case err == nil:
		err = json.NewDecoder(io.LimitReader(br.tr, largestManifest)).Decode(&b)
	}
	if err != nil {
		zr.Close()
		return nil, b, fmt.Errorf("read %s: %w", bundleManifest, err)
	}
	return br, b, nil
}

// next goes on to a blob's entry.
func (br *bundleReader) next(b BundleBlob) error {
	h, err := br.tr.Next()
	switch {
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	case err != nil:
		return err
	case h.Name != bundleBlobs+b.Digest.Hex || h.Size != b.Size:
		return fmt.Errorf("%s of %d bytes is in its place", h.Name, h.Size)
	}
	return nil
}

// end reads to the end of the file, with its last checksum.
func (br *bundleReader) end() error {
	if h, err := br.tr.Next(); err == nil {
		return fmt.Errorf("%s is not in %s", h.Name, bundleManifest)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	_, err := io.Copy(io.Discard, br.zr)
	return err
}

// InspectBundle returns what a bundle says that it holds. Nothing but that is read.
func InspectBundle(r io.Reader) (Bundle, error) {
	br, b, err := openBundle(r)
	if err != nil {
		return b, err
	}
	br.zr.Close()
	if b.Format > bundleFormat { // what it means nobody knows here
		return b, b.check()
	}
	return b, nil
}

// BundleLoaded says what became of a bundle's content.
type BundleLoaded struct {
	Loaded []string `json:"loaded"` // images and files that are new here
	Stood  int      `json:"stood"`  // how many were here before
	Bytes  int64    `json:"bytes"`  // of what is new, uncompressed
	Bundle Bundle   `json:"-"`
}

// LoadBundle puts what a bundle holds, and this machine doesn't, to where builds and bring-ups look for it: images into
// the engine, files into the cache folder of images. The whole of it is read and checked first: where anything is wrong,
// no image gets a name and no file its place.
func LoadBundle(ctx context.Context, docker client.APIClient, cache string, r io.Reader) (BundleLoaded, error) {
	br, b, err := openBundle(r)
	if err != nil {
		return BundleLoaded{}, err
	}
	defer br.zr.Close()
	if err := b.check(); err != nil {
		return BundleLoaded{}, err
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return BundleLoaded{}, err
	}
	dir, remove, err := sharedScratchDir(ctx, cache, "bundle-")
	if err != nil {
		return BundleLoaded{}, err
	}
	defer remove()
	l := &bundleLoad{docker: docker, cache: cache, dir: dir, bundle: b, files: map[v1.Hash]bool{}, report: BundleLoaded{Bundle: b}}
	if err := l.plan(ctx); err != nil {
		return l.report, err
	}
	if err := l.read(ctx, br); err != nil {
		return BundleLoaded{}, err
	}
	return l.report, l.place()
}
