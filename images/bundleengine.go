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
	"slices"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// dockerImage is an image in the table of an archive that the engine writes and reads.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

const dockerTable = "manifest.json"

// smallFile is what a file of the engine's archive may have to be kept in memory: configurations and tables are smaller.
const smallFile = 4 << 20

// saveImage reads an image from the engine. Its layers are put into dir, uncompressed and named by their diffIDs; its
// configuration is returned as it is, so that the image is the same wherever it is loaded.
func saveImage(ctx context.Context, docker client.APIClient, dir, id string) (config []byte, layers []v1.Hash, err error) {
	info, err := docker.ImageInspect(ctx, id)
	if err != nil {
		return nil, nil, fmt.Errorf("inspect image %s: %w", id, err)
	}
	wanted := map[string]bool{}
	for _, s := range info.RootFS.Layers {
		d, err := v1.NewHash(s)
		if err != nil {
			return nil, nil, fmt.Errorf("image %s: %w", id, err)
		}
		layers = append(layers, d)
		wanted[d.Hex] = true
	}
	stream, err := docker.ImageSave(ctx, []string{id})
	if err != nil {
		return nil, nil, fmt.Errorf("read image %s from the engine: %w", id, err)
	}
	defer stream.Close()
	if config, err = splitImage(ctx, stream, dir, wanted); err != nil {
		return nil, nil, fmt.Errorf("read image %s from the engine: %w", id, err)
	}
	var cf v1.ConfigFile
	if err := json.Unmarshal(config, &cf); err != nil || !slices.Equal(cf.RootFS.DiffIDs, layers) {
		return nil, nil, errors.Join(fmt.Errorf("read image %s from the engine: its configuration has other layers", id), err)
	}
	if !touchAll(dir, layers) {
		return nil, nil, fmt.Errorf("read image %s from the engine: not all of its layers are in what it gave", id)
	}
	return config, layers, nil
}

// splitImage reads the archive of one image, keeps its wanted layers and returns its configuration.
func splitImage(ctx context.Context, stream io.Reader, dir string, wanted map[string]bool) ([]byte, error) {
	small := map[string][]byte{}
	var read int64
	err := eachFile(stream, func(h *tar.Header, content io.Reader) (err error) {
		var r io.Reader = countReads(ctx, content, "read an image from the engine", &read, 0)
		if h.Size <= smallFile {
			if small[h.Name], err = io.ReadAll(r); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			r = bytes.NewReader(small[h.Name])
		}
		if err := keepLayer(r, dir, wanted); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var table []dockerImage
	if err := json.Unmarshal(small[dockerTable], &table); err != nil {
		return nil, fmt.Errorf("%s: %w", dockerTable, err)
	}
	if len(table) != 1 || small[table[0].Config] == nil {
		return nil, fmt.Errorf("%s: %d images, want one with its configuration", dockerTable, len(table))
	}
	return small[table[0].Config], nil
}

// engineLoad streams images into the engine, whose blobs come in any order. The engine names nothing before finish has
// sent the table, which comes last.
type engineLoad struct {
	tw     *tar.Writer
	pipe   *io.PipeWriter
	images []BundleImage
	ended  chan error
}

func startEngineLoad(ctx context.Context, docker client.APIClient, images []BundleImage) *engineLoad {
	r, w := io.Pipe()
	l := &engineLoad{tw: tar.NewWriter(w), pipe: w, images: images, ended: make(chan error, 1)}
	go func() {
		err := loadStream(ctx, docker, r)
		r.CloseWithError(errors.Join(errors.New("the engine took no more"), err))
		l.ended <- err
	}()
	return l
}

func loadStream(ctx context.Context, docker client.APIClient, r io.Reader) error {
	answer, err := docker.ImageLoad(ctx, r, client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	return readEngineStream(answer.Body, nil)
}

// needs reports whether a blob is part of the images.
func (l *engineLoad) needs(digest v1.Hash) bool {
	return slices.ContainsFunc(l.images, func(img BundleImage) bool { return img.Config == digest || slices.Contains(img.Layers, digest) })
}

// begin starts a blob, whose bytes are then written to the writer that is returned.
func (l *engineLoad) begin(b BundleBlob) (io.Writer, error) {
	return l.tw, l.tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: engineName(b.Digest), Mode: 0o644, Size: b.Size})
}

func engineName(digest v1.Hash) string { return digest.Hex + ".tar" }

// finish makes images of what was sent, and gives them their names.
func (l *engineLoad) finish(ctx context.Context, docker client.APIClient) error {
	progress.Report(ctx, progress.Update{What: "name the images in the engine"})
	var table []dockerImage
	for _, img := range l.images {
		d := dockerImage{Config: engineName(img.Config), RepoTags: []string{img.Ref}}
		for _, layer := range img.Layers {
			d.Layers = append(d.Layers, engineName(layer))
		}
		table = append(table, d)
	}
	raw, err := json.Marshal(table)
	if err == nil {
		err = putEntry(l.tw, dockerTable, int64(len(raw)), bytes.NewReader(raw))
	}
	if err == nil {
		err = l.tw.Close()
	}
	l.pipe.CloseWithError(err)
	if err := errors.Join(<-l.ended, err); err != nil {
		return fmt.Errorf("load images into the engine: %w", err)
	}
	for _, img := range l.images {
		if ok, err := hasImage(ctx, docker, img); err != nil || !ok {
			return errors.Join(fmt.Errorf("load %s into the engine: it hasn't got it afterwards", img.Ref), err)
		}
	}
	return nil
}

// abort breaks the stream off: the engine drops what it got. The engine's own error, where it ended first, is the cause
// of whatever became of the stream.
func (l *engineLoad) abort(cause error) error {
	l.pipe.CloseWithError(cause)
	if err := <-l.ended; err != nil && !errors.Is(err, cause) && !os.IsTimeout(err) {
		return fmt.Errorf("%w (the engine: %w)", cause, err)
	}
	return cause
}

// hasImage reports whether the engine has just this image, under its name. A service's is found by what it was built of:
// its name doesn't matter.
func hasImage(ctx context.Context, docker client.APIClient, img BundleImage) (bool, error) {
	refs := []string{img.Ref}
	if img.Role == RoleService {
		refs = append(refs, img.Config.String())
	}
	for _, ref := range refs {
		info, err := docker.ImageInspect(ctx, ref)
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return false, fmt.Errorf("look for image %s: %w", ref, err)
		}
		layers := make([]string, len(img.Layers))
		for i, l := range img.Layers {
			layers[i] = l.String()
		}
		if info.ID == img.Config.String() || slices.Equal(info.RootFS.Layers, layers) {
			return true, nil
		}
	}
	return false, nil
}
