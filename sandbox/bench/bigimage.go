package main

import (
	"archive/tar"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// The image of the rows about loads: random bytes, so that nothing compresses them.
const (
	bigLayers     = 5
	bigLayerBytes = 100 << 20
	changedBytes  = 1 << 20
)

// bigImage makes an image of 500 MB.
func (b *bench) bigImage() (v1.Image, error) {
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.Config(img, v1.Config{Labels: map[string]string{engine.LabelSandbox: sandboxName}})
	for i := range bigLayers {
		if err == nil {
			img, err = b.withLayer(img, fmt.Sprintf("big%d", i), bigLayerBytes)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make an image of %d MB: %w", bigLayers*bigLayerBytes>>20, err)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = "linux", runtime.GOARCH
	return mutate.ConfigFile(img, cf)
}

// withLayer puts a layer on an image, with one file of random bytes. It lies in a file of that name, over an earlier one.
func (b *bench) withLayer(img v1.Image, name string, size int64) (v1.Image, error) {
	path := filepath.Join(b.scratch, name+".tar")
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	tw := tar.NewWriter(io.MultiWriter(f, h))
	err = tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size})
	if err == nil {
		_, err = io.CopyN(tw, rand.Reader, size)
	}
	if err := errors.Join(err, tw.Close(), f.Close()); err != nil {
		return nil, err
	}
	return mutate.AppendLayers(img, tarLayer{path, v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}})
}

// tarLayer is an uncompressed layer in a file.
type tarLayer struct {
	path   string
	diffID v1.Hash
}

var _ v1.Layer = tarLayer{}

func (l tarLayer) Digest() (v1.Hash, error)             { return l.diffID, nil }
func (l tarLayer) DiffID() (v1.Hash, error)             { return l.diffID, nil }
func (l tarLayer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }
func (l tarLayer) Compressed() (io.ReadCloser, error)   { return os.Open(l.path) }
func (l tarLayer) Uncompressed() (io.ReadCloser, error) { return os.Open(l.path) }

func (l tarLayer) Size() (int64, error) {
	info, err := os.Stat(l.path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
