package images

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A bundle is a tar archive, compressed with zstd: bundle.json, which is the [Bundle], and then the blobs in its order,
// each once, at blobs/sha256/HEX. Everything is named by its digest, and a reader needs to hold nothing but the manifest.

// bundleFormat is raised when a bundle can't be read by older versions of this program any more.
const bundleFormat = 1

const (
	bundleManifest = "bundle.json"
	bundleBlobs    = "blobs/sha256/"
)

// What things in a bundle are for.
const (
	RoleNode    = "node image"
	RoleBroker  = "broker image"
	RoleBase    = "base image"
	RoleService = "service"
	RoleLibrary = "python library"
	RoleModules = "go modules"
)

// Bundle says what a bundle holds.
type Bundle struct {
	Format     int           `json:"format"`
	Platform   string        `json:"platform"`   // "linux/amd64"
	Kubernetes string        `json:"kubernetes"` // "v1.37.2"
	Images     []BundleImage `json:"images"`     // of the engine
	Files      []BundleFile  `json:"files"`      // of the cache
	Blobs      []BundleBlob  `json:"blobs"`
}

// BundleImage is an image of the engine.
type BundleImage struct {
	Role   string    `json:"role"`
	Name   string    `json:"name"`             // what it is for people: "sql-query"
	Wanted string    `json:"wanted,omitempty"` // what it stands in for
	Ref    string    `json:"ref"`
	Config v1.Hash   `json:"config"`
	Layers []v1.Hash `json:"layers"` // uncompressed, lowest first
}

// BundleFile is a file of the cache.
type BundleFile struct {
	Role       string  `json:"role"`
	Name       string  `json:"name"`
	Path       string  `json:"path"` // in the folder of images, with slashes
	Digest     v1.Hash `json:"digest"`
	Executable bool    `json:"executable,omitempty"`
}

// BundleBlob is an entry of the archive.
type BundleBlob struct {
	Digest v1.Hash `json:"digest"`
	Size   int64   `json:"size"`
}

// Errors of bundles that are whole, and not for this program or this machine.
var (
	ErrBundleFormat   = errors.New("made by a newer version of dynsandbox")
	ErrBundlePlatform = errors.New("made for another platform")
	ErrNoBundle       = errors.New("not a bundle of dynsandbox")
)

// thisPlatform is what the engine of this machine runs.
func thisPlatform() string { return "linux/" + runtime.GOARCH }

// check refuses a bundle that can't be loaded here.
func (b Bundle) check() error {
	if b.Format > bundleFormat {
		return fmt.Errorf("%w: its format is %d, and this version reads %d", ErrBundleFormat, b.Format, bundleFormat)
	}
	if b.Platform != thisPlatform() {
		return fmt.Errorf("%w: %s, and this machine is %s", ErrBundlePlatform, b.Platform, thisPlatform())
	}
	return nil
}

// Size is that of all blobs, uncompressed.
func (b Bundle) Size() (total int64) {
	for _, blob := range b.Blobs {
		total += blob.Size
	}
	return total
}

// sizes are the blobs' by digest.
func (b Bundle) sizes() map[v1.Hash]int64 {
	m := map[v1.Hash]int64{}
	for _, blob := range b.Blobs {
		m[blob.Digest] = blob.Size
	}
	return m
}

// uses says, for people, what a blob is part of.
func (b Bundle) uses(digest v1.Hash) string {
	for _, img := range b.Images {
		if img.Config == digest {
			return "the configuration of " + img.Ref
		}
		for i, l := range img.Layers {
			if l == digest {
				return fmt.Sprintf("layer %d of %s", i+1, img.Ref)
			}
		}
	}
	for _, f := range b.Files {
		if f.Digest == digest {
			return f.Path
		}
	}
	return "nothing"
}

// WriteText prints what a bundle holds. Files that belong together are one line.
func (b Bundle) WriteText(w io.Writer) error {
	sizes := b.sizes()
	fmt.Fprintf(w, "for %s, Kubernetes %s, %.1f MB unpacked\n", b.Platform, b.Kubernetes, float64(b.Size())/1e6)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, img := range b.Images {
		var size int64
		for _, l := range img.Layers {
			size += sizes[l]
		}
		name := img.Ref
		if img.Role == RoleService {
			name = img.Name
		}
		if img.Wanted != "" && img.Wanted != img.Ref {
			name += " for " + img.Wanted
		}
		fmt.Fprintf(t, "%s\t%s\t%.1f MB\n", img.Role, name, float64(size)/1e6)
	}
	count, size := map[string]int{}, map[string]int64{}
	var order []string
	for _, f := range b.Files {
		key := f.Role + "\t" + f.Name
		if count[key]++; count[key] == 1 {
			order = append(order, key)
		}
		size[key] += sizes[f.Digest]
	}
	for _, key := range order {
		files := ""
		if count[key] > 1 {
			files = fmt.Sprintf(" (%d files)", count[key])
		}
		fmt.Fprintf(t, "%s%s\t%.1f MB\n", strings.TrimSuffix(key, "\t"), files, float64(size[key])/1e6)
	}
	return t.Flush()
}
