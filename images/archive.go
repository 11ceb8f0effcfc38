package images

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// blob is one file of an OCI layout. open may be called once for each archive that it is put into.
type blob struct {
	digest v1.Hash
	size   int64
	open   func() (io.ReadCloser, error)
}

// parts is an image taken apart.
type parts struct {
	manifest, config blob
	mediaType        types.MediaType // of the manifest
	layers           []blob
	chains           []string // the snapshot that each layer unpacks to
	platform         v1.Platform
}

// takeApart returns an image's parts. Layers must be uncompressed: only then is a layer's digest its diffID, by
// which the node's snapshots are told.
func takeApart(img v1.Image) (parts, error) {
	var p parts
	raw, err := img.RawManifest()
	if err != nil {
		return p, err
	}
	if p.manifest, err = bytesBlob(raw); err != nil {
		return p, err
	}
	if p.mediaType, err = img.MediaType(); err != nil {
		return p, err
	}
	if raw, err = img.RawConfigFile(); err != nil {
		return p, err
	}
	if p.config, err = bytesBlob(raw); err != nil {
		return p, err
	}
	cf, err := img.ConfigFile()
	if err != nil {
		return p, err
	}
	p.platform = v1.Platform{OS: cf.OS, Architecture: cf.Architecture, Variant: cf.Variant}
	if err := checkPlatform(p.platform); err != nil { // the node would take it, and its Pods would not start
		return p, err
	}
	p.chains = chainIDs(cf.RootFS.DiffIDs)
	layers, err := img.Layers()
	if err != nil {
		return p, err
	}
	if len(layers) != len(p.chains) {
		return p, fmt.Errorf("image has %d layers and %d diffIDs", len(layers), len(p.chains))
	}
	for i, l := range layers {
		d, err := l.Digest()
		if err != nil {
			return p, err
		}
		if d != cf.RootFS.DiffIDs[i] {
			return p, fmt.Errorf("layer %s is compressed", d)
		}
		size, err := l.Size()
		if err != nil {
			return p, err
		}
		p.layers = append(p.layers, blob{d, size, l.Compressed})
	}
	return p, nil
}

func bytesBlob(b []byte) (blob, error) {
	digest, size, err := v1.SHA256(bytes.NewReader(b))
	return blob{digest, size, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}, err
}

// named is an image under a name, in an archive.
type named struct {
	ref   string // normalised: "docker.io/dynamos1/agent:main"
	parts parts
}

// annotationName is the one by which containerd names an image that it imports.
const annotationName = "io.containerd.image.name"

// writeArchive writes an OCI archive with images, and of their layers those in blobs, each once. Layers are copied
// from their readers: the archive is never in memory.
func writeArchive(w io.Writer, images []named, blobs []blob) error {
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	for _, n := range images {
		index.Manifests = append(index.Manifests, v1.Descriptor{
			MediaType: n.parts.mediaType, Digest: n.parts.manifest.digest, Size: n.parts.manifest.size,
			Platform: &n.parts.platform, Annotations: map[string]string{annotationName: n.ref},
		})
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return err
	}
	tw := tar.NewWriter(w)
	put := func(name string, size int64, r io.Reader) error {
		// containerd keeps no times; a fixed one makes equal archives equal.
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		_, err := io.Copy(tw, r)
		return err
	}
	for _, file := range []struct {
		name    string
		content []byte
	}{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", raw}} {
		if err := put(file.name, int64(len(file.content)), bytes.NewReader(file.content)); err != nil {
			return err
		}
	}
	for _, b := range blobs {
		r, err := b.open()
		if err != nil {
			return fmt.Errorf("read blob %s: %w", b.digest, err)
		}
		err = put("blobs/sha256/"+b.digest.Hex, b.size, r)
		r.Close()
		if err != nil {
			return fmt.Errorf("write blob %s: %w", b.digest, err)
		}
	}
	return tw.Close()
}
