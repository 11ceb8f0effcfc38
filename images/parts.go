package images

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/identity"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// blob is one piece of an image's content. open may be called once for each load.
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

// named is an image under a name.
type named struct {
	ref   string // normalised: "docker.io/dynamos1/agent:main"
	parts parts
}

// takeAllApart takes images apart, in the order of their names.
func takeAllApart(images map[name.Tag]v1.Image) ([]named, error) {
	all := make([]named, 0, len(images))
	for tag, img := range images {
		p, err := takeApart(img)
		if err != nil {
			return nil, fmt.Errorf("read image %s: %w", tag, err)
		}
		all = append(all, named{Normalised(tag), p})
	}
	slices.SortFunc(all, func(a, b named) int { return cmp.Compare(a.ref, b.ref) })
	return all, nil
}

// descriptor is the image as containerd names it.
func (p parts) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: string(p.mediaType), Digest: p.manifest.id(), Size: p.manifest.size}
}

// contents returns all that an image consists of, in the order in which it is sent.
func (p parts) contents() []blob { return append(slices.Clone(p.layers), p.config, p.manifest) }

// children are the labels by which containerd keeps what an image consists of for as long as its manifest.
func (p parts) children() map[string]string {
	labels := map[string]string{"containerd.io/gc.ref.content.config": p.config.id().String()}
	for i, l := range p.layers {
		labels["containerd.io/gc.ref.content.l."+strconv.Itoa(i)] = l.id().String()
	}
	return labels
}

func (b blob) id() digest.Digest { return digest.Digest(b.digest.String()) }

// chainIDs returns, for each layer, the name of the snapshot that it and those below it unpack to.
func chainIDs(diffIDs []v1.Hash) []string {
	ids := make([]digest.Digest, len(diffIDs))
	for i, d := range diffIDs {
		ids[i] = digest.Digest(d.String())
	}
	chains := make([]string, len(ids))
	for i, c := range identity.ChainIDs(ids) {
		chains[i] = c.String()
	}
	return chains
}
