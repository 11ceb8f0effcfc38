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
//
// Tools append to an index, or leave one that has the image as it is: neither the first nor the last of several is sure
// to be the newest.
func forThisMachine(index v1.ImageIndex) (v1.Image, error) {
	var others []string
	found, err := findImages(index, &others)
	switch {
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, fmt.Errorf("it holds %d images for this machine; empty it before the build", len(found))
	case len(found) == 1:
		return found[0], nil
	case others == nil:
		return nil, errors.New("the index holds no image")
	}
	return nil, fmt.Errorf("%w: the index has images for %s, and this machine runs %s", ErrPlatform, strings.Join(others, ", "), machine.String())
}

// findImages returns the different images for this machine, of an index in the index the first; others gets the other
// platforms.
func findImages(index v1.ImageIndex, others *[]string) (found []v1.Image, err error) {
	m, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	have := map[v1.Hash]bool{}
	add := func(img v1.Image) error {
		digest, err := img.Digest()
		if err == nil && !have[digest] {
			have[digest], found = true, append(found, img)
		}
		return err
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
			images, err := findImages(inner, others)
			if err == nil && len(images) > 0 {
				err = add(images[0])
			}
			if err != nil {
				return nil, err
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
				if err := add(img); err != nil {
					return nil, fmt.Errorf("read image %s: %w", d.Digest, err)
				}
			} else if p.OS != "unknown" { // an attestation without its annotation
				*others = append(*others, platformName(p))
			}
		}
	}
	return found, nil
}
