package images

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/zstd"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Packer collects what goes into a bundle: the engine's images, in files of a folder that is removed by Close, and files.
type Packer struct {
	docker client.APIClient
	bundle Bundle
	open   map[v1.Hash]func() (io.ReadCloser, error)
	dir    string // of layers
	remove func()
}

// NewPacker returns an empty one. cache is the folder that the layers of images are put into meanwhile.
func NewPacker(ctx context.Context, docker client.APIClient, cache, kubernetes string) (*Packer, error) {
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return nil, err
	}
	dir, remove, err := sharedScratchDir(ctx, cache, "bundle-")
	if err != nil {
		return nil, err
	}
	return &Packer{
		docker: docker, dir: dir, remove: remove, open: map[v1.Hash]func() (io.ReadCloser, error){},
		bundle: Bundle{Format: bundleFormat, Platform: thisPlatform(), Kubernetes: kubernetes},
	}, nil
}

// Close removes what was read from the engine.
func (p *Packer) Close() { p.remove() }

// Bundle is what was collected so far.
func (p *Packer) Bundle() Bundle { return p.bundle }

// AddImage adds the image that the engine has under id. Of img, role and names are wanted.
func (p *Packer) AddImage(ctx context.Context, img BundleImage, id string) error {
	for _, have := range p.bundle.Images {
		if have.Ref == img.Ref {
			return nil
		}
	}
	config, layers, err := saveImage(ctx, p.docker, p.dir, id)
	if err != nil {
		return err
	}
	img.Layers = layers
	if img.Config, err = p.addContent(config); err != nil {
		return err
	}
	for _, l := range layers {
		if err := p.addBlob(l, layerPath(p.dir, l)); err != nil {
			return err
		}
	}
	p.bundle.Images = append(p.bundle.Images, img)
	return nil
}

func (p *Packer) addContent(content []byte) (v1.Hash, error) {
	b, err := bytesBlob(content)
	if _, known := p.open[b.digest]; err == nil && !known {
		p.open[b.digest] = b.open
		p.bundle.Blobs = append(p.bundle.Blobs, BundleBlob{b.digest, b.size})
	}
	return b.digest, err
}

func (p *Packer) addBlob(digest v1.Hash, file string) error {
	if _, known := p.open[digest]; known {
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	p.open[digest] = func() (io.ReadCloser, error) { return os.Open(file) }
	p.bundle.Blobs = append(p.bundle.Blobs, BundleBlob{digest, info.Size()})
	return nil
}

// AddFile adds a file of this machine. Of f, all but the digest is wanted.
func (p *Packer) AddFile(f BundleFile, source string) error {
	digest, err := fileHash(source)
	if err != nil {
		return err
	}
	f.Digest = digest
	p.bundle.Files = append(p.bundle.Files, f)
	return p.addBlob(digest, source)
}

// Write writes the bundle to a file, which appears when it is whole.
func (p *Packer) Write(ctx context.Context, file string) (err error) {
	part := file + ".tmp"
	f, err := os.Create(part)
	if err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	defer os.Remove(part)
	if err := errors.Join(p.write(ctx, f), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return os.Rename(part, file)
}

func (p *Packer) write(ctx context.Context, w io.Writer) error {
	zw, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return err
	}
	defer zw.Close() // ends its goroutines also after an error
	tw := tar.NewWriter(zw)
	manifest, err := json.MarshalIndent(p.bundle, "", "  ")
	if err != nil {
		return err
	}
	if err := putEntry(tw, bundleManifest, int64(len(manifest)), bytes.NewReader(manifest)); err != nil {
		return err
	}
	total, done := p.bundle.Size(), int64(0)
	for _, b := range p.bundle.Blobs {
		r, err := p.open[b.Digest]()
		if err != nil {
			return err
		}
		err = putEntry(tw, bundleBlobs+b.Digest.Hex, b.Size, countReads(ctx, r, "write the bundle", &done, total))
		r.Close()
		if err != nil {
			return fmt.Errorf("%s (%s): %w", b.Digest, p.bundle.uses(b.Digest), err)
		}
	}
	return errors.Join(tw.Close(), zw.Close())
}

// putEntry writes a file into an archive, with nothing of this machine but its content.
func putEntry(tw *tar.Writer, name string, size int64, r io.Reader) error {
	if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: size, ModTime: time.Unix(0, 0)}); err != nil {
		return err
	}
	_, err := io.Copy(tw, r)
	return err
}

// countingReader reports how much was read, and ends with its context.
type countingReader struct {
	ctx      context.Context
	r        io.Reader
	what     string
	done     *int64
	total    int64
	reported int64
}

// progressStep is after how many bytes progress is reported: a screen can follow it.
const progressStep = 4 << 20

func countReads(ctx context.Context, r io.Reader, what string, done *int64, total int64) io.Reader {
	return &countingReader{ctx: ctx, r: r, what: what, done: done, total: total, reported: *done}
}

func (c *countingReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(b)
	if *c.done += int64(n); *c.done-c.reported >= progressStep {
		c.reported = *c.done
		progress.Report(c.ctx, progress.Update{What: c.what, Done: *c.done, Total: c.total, Unit: "bytes"})
	}
	return n, err
}

// addTree adds all files below a folder.
func (p *Packer) addTree(f BundleFile, dir string) error {
	root := f.Path
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		f.Path = root + "/" + filepath.ToSlash(rel)
		return p.AddFile(f, path)
	})
}
