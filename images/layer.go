package images

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer is an uncompressed layer that is produced anew, from files, each time it is read.
type layer struct {
	diffID v1.Hash
	size   int64
	open   func() (io.ReadCloser, error)
}

var _ v1.Layer = layer{}

func (l layer) Digest() (v1.Hash, error)             { return l.diffID, nil }
func (l layer) DiffID() (v1.Hash, error)             { return l.diffID, nil }
func (l layer) Size() (int64, error)                 { return l.size, nil }
func (l layer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }
func (l layer) Compressed() (io.ReadCloser, error)   { return l.open() }
func (l layer) Uncompressed() (io.ReadCloser, error) { return l.open() }

// streamLayer returns the layer whose tar archive write produces. write is called once now, to learn the digest,
// and once for each reading; it must always write the same bytes.
func streamLayer(write func(io.Writer) error) (layer, error) {
	h := newHasher()
	if err := write(h); err != nil {
		return layer{}, err
	}
	return layer{diffID: h.hash(), size: h.size, open: func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(write(w)) }()
		return r, nil
	}}, nil
}

// fileLayer returns the layer that is the tar archive at path, whose digest is known.
func fileLayer(path string, diffID v1.Hash) (layer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return layer{}, fmt.Errorf("find layer: %w", err)
	}
	return layer{diffID: diffID, size: info.Size(), open: func() (io.ReadCloser, error) { return os.Open(path) }}, nil
}

// assemble returns the image of layers and a configuration, with no dates and no history: equal content has an equal
// digest.
func assemble(platform v1.Platform, config v1.Config, layers ...v1.Layer) (v1.Image, error) {
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layers...)
	if err != nil {
		return nil, err
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture, cf.Variant, cf.Config, cf.History = platform.OS, platform.Architecture, platform.Variant, config, nil
	return mutate.ConfigFile(img, cf)
}

// hasher counts and hashes what is written to it.
type hasher struct {
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	size int64
}

func newHasher() *hasher { return &hasher{sum: sha256.New()} }

func (h *hasher) Write(p []byte) (int, error) {
	h.size += int64(len(p))
	return h.sum.Write(p)
}

func (h *hasher) hash() v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.sum.Sum(nil))}
}

// fileHash returns the digest of a file.
func fileHash(path string) (v1.Hash, error) {
	f, err := os.Open(path)
	if err != nil {
		return v1.Hash{}, err
	}
	defer f.Close()
	h := newHasher()
	_, err = io.Copy(h, f)
	return h.hash(), err
}
