package images

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// ErrPlatform is returned for an image that can't run on this machine.
var ErrPlatform = errors.New("not for this machine")

// machine is the platform of images that run here: the node is a container on this machine.
var machine = v1.Platform{OS: "linux", Architecture: runtime.GOARCH}

// checkPlatform returns an error for an image of another platform than this machine's.
func checkPlatform(p v1.Platform) error {
	if p.OS != machine.OS || p.Architecture != machine.Architecture {
		return fmt.Errorf("%w: the image is for %s, and this machine runs %s", ErrPlatform, platformName(p), machine.String())
	}
	return nil
}

func platformName(p v1.Platform) string {
	if p.OS == "" && p.Architecture == "" {
		return "no platform"
	}
	return p.String()
}

// forThisMachine finds the image for this machine in an index, which may hold others for other machines, indexes, and
// attestations (which say how an image was built, and look like images of no platform).
func forThisMachine(index v1.ImageIndex) (v1.Image, error) {
	var others []string
	img, err := findImage(index, &others)
	switch {
	case err != nil:
		return nil, err
	case img == nil && others == nil:
		return nil, errors.New("the index holds no image")
	case img == nil:
		return nil, fmt.Errorf("%w: the index has images for %s, and this machine runs %s", ErrPlatform, strings.Join(others, ", "), machine.String())
	}
	return img, nil
}

// findImage returns nil when there is none; others gets the platforms that there are.
func findImage(index v1.ImageIndex, others *[]string) (v1.Image, error) {
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range m.Manifests {
		switch {
		case d.Annotations["vnd.docker.reference.type"] == "attestation-manifest":
			continue
		case d.MediaType.IsIndex():
			inner, err := index.ImageIndex(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("read index %s: %w", d.Digest, err)
			}
			if img, err := findImage(inner, others); err != nil || img != nil {
				return img, err
			}
		case d.MediaType.IsImage():
			img, err := index.Image(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("read image %s: %w", d.Digest, err)
			}
			cf, err := img.ConfigFile() // not every index says it
			if err != nil {
				return nil, fmt.Errorf("read image %s: %w", d.Digest, err)
			}
			p := v1.Platform{OS: cf.OS, Architecture: cf.Architecture, Variant: cf.Variant}
			if checkPlatform(p) == nil {
				return img, nil
			}
			if p.OS != "unknown" { // an attestation without its annotation
				*others = append(*others, platformName(p))
			}
		}
	}
	return nil, nil //nolint:nilnil // said above
}
