package images

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func tarOf(t *testing.T, files map[string][]byte) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, content := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

// Engines save layers under different names, plain or compressed: the layers must be found by what they contain.
func TestSplitSaved(t *testing.T) {
	t.Parallel()
	plain, squeezed, other := []byte("a plain layer"), []byte("a layer that the engine keeps compressed"), []byte("not wanted")
	var zipped bytes.Buffer
	zw := gzip.NewWriter(&zipped)
	if _, err := zw.Write(squeezed); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	saved := tarOf(t, map[string][]byte{"0123/layer.tar": plain, "blobs/sha256/45": zipped.Bytes(), "manifest.json": other, "empty": nil})
	dir := t.TempDir()
	wanted := map[string]bool{}
	for _, b := range [][]byte{plain, squeezed} {
		wanted[textLayer(t, string(b)).diffID.Hex] = true
	}
	if err := splitSaved(t.Context(), saved, dir, wanted); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Fatalf("%d files, error %v", len(left), err)
	}
	for _, b := range [][]byte{plain, squeezed} {
		if got, err := os.ReadFile(layerPath(dir, textLayer(t, string(b)).diffID)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("got %q, error %v, want %q", got, err, b)
		}
	}
}

func TestUntarStaysInItsFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "in")
	if err := untar(tarOf(t, map[string][]byte{"../out": []byte("x")}), dir); err == nil {
		t.Error("a path outside was accepted")
	}
	if err := untar(tarOf(t, map[string][]byte{"out/a.whl": []byte("x")}), dir); err != nil || !exists(filepath.Join(dir, "out", "a.whl")) {
		t.Errorf("a good archive was not unpacked: %v", err)
	}
}

func TestUnusedLayersAreRemoved(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{"old.tar": "", "new.tar": "", "lock": ""})
	past := time.Now().Add(-2 * time.Hour)
	for _, f := range []string{"old.tar", "lock"} {
		if err := os.Chtimes(filepath.Join(dir, f), past, past); err != nil {
			t.Fatal(err)
		}
	}
	if err := removeOld(dir, time.Hour); err != nil {
		t.Fatal(err)
	}
	if exists(filepath.Join(dir, "old.tar")) || !exists(filepath.Join(dir, "new.tar")) || !exists(filepath.Join(dir, "lock")) {
		t.Error("the wrong files were removed")
	}
}
