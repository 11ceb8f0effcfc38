package nodeimage

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestOneLayer(t *testing.T) {
	t.Parallel()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	entries := []entry{
		{from: program, to: "/usr/bin/program", mode: 0o755},
		{link: "program", to: "/usr/bin/other"},
		{to: "/tmp/"},
	}
	img, err := oneLayer(archive(entries), time.Unix(0, 0), v1.Config{Entrypoint: []string{"/usr/bin/program"}, StopSignal: "SIGRTMIN+3"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := oneLayer(archive(entries), time.Unix(0, 0), v1.Config{Entrypoint: []string{"/usr/bin/program"}, StopSignal: "SIGRTMIN+3"})
	if err != nil {
		t.Fatal(err)
	}
	d1, err1 := img.Digest()
	d2, err2 := again.Digest()
	if err := errors.Join(err1, err2); err != nil || d1 != d2 {
		t.Errorf("the same image has digests %s and %s (%v)", d1, d2, err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.StopSignal != "SIGRTMIN+3" || config.OS != "linux" || len(config.RootFS.DiffIDs) != 1 {
		t.Errorf("config is %+v", config)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	r, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	// Uncompressed, so that digest and diff ID are one: containerd finds the snapshot by it.
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(text)); got != config.RootFS.DiffIDs[0].String() {
		t.Errorf("the layer's bytes hash to %s, its diff ID is %s", got, config.RootFS.DiffIDs[0])
	}
	var got []string
	for files := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%c %s %o %s", h.Typeflag, h.Name, h.Mode, h.Linkname))
	}
	want := []string{"5 usr/ 755 ", "5 usr/bin/ 755 ", "0 usr/bin/program 755 ", "2 usr/bin/other 777 program", "5 tmp/ 1777 "}
	if !slices.Equal(got, want) {
		t.Errorf("layer holds %q\nwant %q", got, want)
	}
}

func TestOneLayerMissingFile(t *testing.T) {
	t.Parallel()
	_, err := oneLayer(archive([]entry{{from: filepath.Join(t.TempDir(), "nothing"), to: "/x"}}), time.Unix(0, 0), v1.Config{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the file doesn't exist", err)
	}
}
