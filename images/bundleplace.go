package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// bundleLoad is one loading of a bundle.
type bundleLoad struct {
	docker client.APIClient
	cache  string
	dir    string // blobs of files, by their digests, until all is checked
	bundle Bundle

	images  []BundleImage // that the engine lacks
	missing []BundleFile  // that the cache lacks
	files   map[v1.Hash]bool
	report  BundleLoaded
}

// bundleFolders are where a bundle's files may go: folders that hold nothing but what builds make there.
var bundleFolders = []string{goModulesDir + "/", goBundledDir + "/", "python/wheel-"}

// plan finds what this machine lacks.
func (l *bundleLoad) plan(ctx context.Context) error {
	known := l.bundle.sizes()
	for _, img := range l.bundle.Images {
		for _, d := range append(slices.Clone(img.Layers), img.Config) {
			if _, ok := known[d]; !ok {
				return fmt.Errorf("%s: %s is missing from the bundle: %s", bundleManifest, d, l.bundle.uses(d))
			}
		}
		ok, err := hasImage(ctx, l.docker, img)
		if err != nil {
			return err
		}
		if ok {
			l.report.Stood++
			continue
		}
		l.images = append(l.images, img)
		l.report.Loaded = append(l.report.Loaded, img.Ref)
	}
	for _, f := range l.bundle.Files {
		allowed := slices.ContainsFunc(bundleFolders, func(prefix string) bool { return strings.HasPrefix(f.Path, prefix) })
		if !allowed || path.Clean(f.Path) != f.Path || !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			return fmt.Errorf("%s: a file has no business at %q", bundleManifest, f.Path)
		}
		size, ok := known[f.Digest]
		if !ok {
			return fmt.Errorf("%s: %s is missing from the bundle: %s", bundleManifest, f.Digest, f.Path)
		}
		if info, err := os.Stat(l.path(f)); err == nil && info.Size() == size {
			l.report.Stood++
			continue
		}
		l.missing = append(l.missing, f)
		l.files[f.Digest] = true
		l.report.Loaded = append(l.report.Loaded, f.Path)
	}
	return nil
}

func (l *bundleLoad) path(f BundleFile) string {
	return filepath.Join(l.cache, filepath.FromSlash(f.Path))
}

// read checks every blob, and hands those that are lacking on.
func (l *bundleLoad) read(ctx context.Context, br *bundleReader) (err error) {
	var sending *engineLoad
	if len(l.images) > 0 {
		sending = startEngineLoad(ctx, l.docker, l.images)
	}
	total, done := l.bundle.Size(), int64(0)
	for _, b := range l.bundle.Blobs {
		if err = l.readBlob(ctx, br, b, sending, &done, total); err != nil {
			err = fmt.Errorf("%s%s (%s): %w", bundleBlobs, b.Digest.Hex, l.bundle.uses(b.Digest), err)
			break
		}
	}
	if err == nil {
		if err = br.end(); err != nil {
			err = fmt.Errorf("after the last entry: %w", err)
		}
	}
	switch {
	case sending == nil:
		return err
	case err != nil:
		return sending.abort(err)
	}
	return sending.finish(ctx, l.docker)
}

func (l *bundleLoad) readBlob(ctx context.Context, br *bundleReader, b BundleBlob, sending *engineLoad, done *int64, total int64) error {
	if err := br.next(b); err != nil {
		return err
	}
	h := newHasher()
	to := []io.Writer{h}
	if sending != nil && sending.needs(b.Digest) {
		w, err := sending.begin(b)
		if err != nil {
			return err
		}
		to = append(to, w)
		l.report.Bytes += b.Size
	}
	if l.files[b.Digest] {
		f, err := os.Create(filepath.Join(l.dir, b.Digest.Hex))
		if err != nil {
			return err
		}
		defer f.Close()
		to = append(to, f)
		l.report.Bytes += b.Size
	}
	if _, err := io.Copy(io.MultiWriter(to...), countReads(ctx, br.tr, "read the bundle", done, total)); err != nil {
		return err
	}
	if got := h.hash(); got != b.Digest {
		return fmt.Errorf("its content is %s", got)
	}
	return nil
}

// unit is the folder that must appear with all of its files or not at all; "": each file counts for itself.
func unit(f BundleFile) string {
	parts := strings.Split(f.Path, "/")
	switch {
	case strings.HasPrefix(f.Path, goBundledDir+"/") && len(parts) > 3:
		return path.Join(parts[:3]...)
	case strings.HasPrefix(f.Path, "python/") && len(parts) > 2:
		return path.Join(parts[:2]...)
	}
	return ""
}

// place gives the files that were read their places.
func (l *bundleLoad) place() error {
	units := map[string]bool{}
	for _, f := range l.missing {
		to := l.path(f)
		if u := unit(f); u != "" && !exists(filepath.Join(l.cache, u)) {
			units[u] = true
			to = filepath.Join(l.dir, "units", filepath.FromSlash(f.Path))
		}
		if err := l.placeFile(f, to); err != nil {
			return fmt.Errorf("put %s into the cache: %w", f.Path, err)
		}
	}
	for u := range units {
		to := filepath.Join(l.cache, filepath.FromSlash(u))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		// Somebody who builds at this moment may have made it: then it is the same.
		if err := os.Rename(filepath.Join(l.dir, "units", filepath.FromSlash(u)), to); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("put %s into the cache: %w", u, err)
		}
	}
	return nil
}

// placeFile makes a second link to a blob, which several files may be.
func (l *bundleLoad) placeFile(f BundleFile, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	blob := filepath.Join(l.dir, f.Digest.Hex)
	mode := fs.FileMode(0o644)
	if f.Executable {
		mode = 0o755
	}
	if err := os.Chmod(blob, mode); err != nil {
		return err
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Link(blob, to)
}
