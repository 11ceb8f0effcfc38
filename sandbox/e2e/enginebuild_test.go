package e2e

import (
	"archive/tar"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"

	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// Two services, and two states of one, differ in nothing that BuildKit looks at to tell files apart: names, sizes, times.
func TestEngineBuildsWhatTheFilesAre(t *testing.T) {
	docker, err := engine.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer docker.Close()
	dir, cache := t.TempDir(), t.TempDir()
	b := images.DockerfileBuilder{Workspace: dir, Cache: cache, Docker: docker, Bases: &images.ThirdParty{Docker: docker, Cache: cache, Offline: true}}
	build := func(service, text string) v1.Image {
		t.Helper()
		for name, content := range map[string]string{"Dockerfile": "FROM scratch\nCOPY . /\n", "said": text} {
			path := filepath.Join(dir, "rust", service, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		img, err := b.Build(t.Context(), images.Service{Name: service, Dir: "rust/" + service, Language: images.Dockerfile})
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	unique := rand.Text() // the engine may have built the same before
	for _, step := range []struct{ service, text string }{{"y", "of y, " + unique}, {"z", "of z, " + unique}, {"y", "is y, " + unique}, {"y", "of y, " + unique}} {
		if got := fileIn(t, build(step.service, step.text), "said"); got != step.text {
			t.Errorf("%s: the image says %q, its file %q", step.service, got, step.text)
		}
	}
}

// fileIn is the content of a file in an image.
func fileIn(t *testing.T, img v1.Image, name string) string {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err != nil {
			t.Fatalf("find %s: %v", name, err)
		}
		if strings.TrimPrefix(h.Name, "/") == name {
			content, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			return string(content)
		}
	}
}
