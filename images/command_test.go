package images

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// compressedImage has layers as other tools make them.
func compressedImage(t *testing.T, os, arch string) v1.Image {
	t.Helper()
	img, err := random.Image(500, 2)
	if err != nil {
		t.Fatal(err)
	}
	cf, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cf = cf.DeepCopy()
	cf.OS, cf.Architecture = os, arch
	if img, err = mutate.ConfigFile(img, cf); err != nil {
		t.Fatal(err)
	}
	return img
}

// indexOf is an index like the one that BuildKit makes: an image for each platform, and an attestation for each.
func indexOf(t *testing.T, images ...v1.Image) v1.ImageIndex {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, img := range images {
		about := v1.Descriptor{Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: compressedImage(t, "unknown", "unknown"), Descriptor: about},
			mutate.IndexAddendum{Add: img})
	}
	return index
}

func commandWorkspace(t *testing.T, text string) (*CommandBuilder, *fakeEngine, Service) {
	t.Helper()
	e := &fakeEngine{has: map[string]bool{}}
	workspace := writeFiles(t, map[string]string{"rust/x/dynsandbox.yaml": text})
	return &CommandBuilder{Workspace: workspace, Cache: t.TempDir(), Docker: e.client(t)}, e, Service{Name: "x", Dir: "rust/x", Language: Command}
}

// FIELD B row 3: attestations and images for other machines beside ours, nested or not, compressed.
func TestCommandLeavesALayout(t *testing.T) {
	t.Parallel()
	ours, foreign := compressedImage(t, "linux", runtime.GOARCH), compressedImage(t, "linux", "s390x")
	nested := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: indexOf(t, foreign, ours)})
	for name, tc := range map[string]struct {
		index v1.ImageIndex
		want  string // in the error
	}{
		"one image":                          {mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: ours}), ""},
		"with attestations and other images": {indexOf(t, foreign, ours), ""},
		"an index in the index":              {nested, ""},
		"the same image twice":               {mutate.AppendManifests(nested, mutate.IndexAddendum{Add: ours}), ""},
		"an earlier build's image too":       {indexOf(t, compressedImage(t, "linux", runtime.GOARCH), ours), "OCI layout out: it holds 2 images for this machine; empty it before the build"},
		"for another machine":                {indexOf(t, foreign), "not for this machine: the index has images for linux/s390x"},
		"attestations alone":                 {mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: compressedImage(t, "unknown", "unknown")}), "holds no image"},
	} {
		b, _, svc := commandWorkspace(t, "build: [\"true\"]\noci: out\n")
		if _, err := layout.Write(filepath.Join(b.Workspace, "rust/x/out"), tc.index); err != nil {
			t.Fatal(err)
		}
		img, err := b.Build(t.Context(), svc)
		if tc.want != "" {
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got error %v, want one with %q", name, err, tc.want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// It can be loaded: its layers are what they unpack to, and those of the image that was meant.
		cf, err := ours.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		node := newFakeNode(t)
		if _, err := node.Load(t.Context(), map[name_]v1.Image{tagOf(t, "acc/x:main"): img}); err != nil {
			t.Errorf("%s: load: %v", name, err)
		}
		for _, diffID := range cf.RootFS.DiffIDs {
			if !node.holds(t, diffID.String()) {
				t.Errorf("%s: layer %s didn't arrive", name, diffID)
			}
		}
		again, err := b.Build(t.Context(), svc)
		if err != nil {
			t.Fatal(err)
		}
		if a, _ := img.Digest(); a.String() == "" {
			t.Error("no digest")
		} else if d, err := again.Digest(); err != nil || d != a {
			t.Errorf("%s: digest %s, then %s (%v)", name, a, d, err)
		}
	}
}

// What is in a layout must be what it says it is.
func TestBrokenLayout(t *testing.T) {
	t.Parallel()
	l, err := random.Layer(500, types.DockerLayer)
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(compressedImage(t, "linux", runtime.GOARCH), l)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Digest()
	if err != nil {
		t.Fatal(err)
	}
	b, _, svc := commandWorkspace(t, "build: [\"true\"]\noci: out\n")
	if _, err := b.Build(t.Context(), svc); err == nil || !strings.Contains(err.Error(), "read the OCI layout out") {
		t.Errorf("no layout: got error %v", err)
	}
	if _, err := layout.Write(filepath.Join(b.Workspace, "rust/x/out"), mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: img})); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(b.Workspace, "rust/x/out/blobs/sha256", d.Hex), "something else")
	if _, err := b.Build(t.Context(), svc); err == nil || !strings.Contains(err.Error(), "read the OCI layout out") {
		t.Errorf("a layer with other content: got error %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(layersDir(b.Cache), "part-*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
}

func TestCommandLeavesAnImage(t *testing.T) {
	t.Parallel()
	b, e, svc := commandWorkspace(t, "build: [sh, -c, 'echo one; printf %s \"$DYNSANDBOX_IMAGE in $PWD\" >made']\nimage: acc/x:dev\n")
	if _, err := b.Build(t.Context(), svc); err == nil || !strings.Contains(err.Error(), "the engine has no image acc/x:dev") {
		t.Errorf("no image: got error %v", err)
	}
	e.built = []*builtImage{{id: digestOf("x"), tag: "acc/x:dev", layers: []string{"a layer"}, arch: "s390x"}}
	if _, err := b.Build(t.Context(), svc); !errors.Is(err, ErrPlatform) || !strings.Contains(err.Error(), "acc/x:dev") || !strings.Contains(err.Error(), "linux/s390x") {
		t.Errorf("an image for another machine: got error %v", err)
	}
	e.built[0].arch = ""
	var mu sync.Mutex
	var shown []string
	ctx := progress.With(t.Context(), func(u progress.Update) {
		mu.Lock()
		defer mu.Unlock()
		shown = append(shown, u.What)
	})
	img, err := b.Build(ctx, svc)
	if err != nil {
		t.Fatal(err)
	}
	if layers := layersOf(t, img); len(layers) != 1 {
		t.Errorf("%d layers", len(layers))
	}
	if !slices.Contains(shown, "build x: one") {
		t.Errorf("shown: %q", shown)
	}
	dir := filepath.Join(b.Workspace, "rust/x")
	if made, _ := os.ReadFile(filepath.Join(dir, "made")); string(made) != "acc/x:dev in "+dir {
		t.Errorf("the command ran with %q", made)
	}
}

func TestCommandFails(t *testing.T) {
	t.Parallel()
	b, _, svc := commandWorkspace(t, "build: [sh, -c, 'for i in $(seq 100); do echo line $i; done; printf last >&2; exit 3']\n")
	_, err := b.Build(t.Context(), svc)
	var failed *fault.Exec
	if !errors.As(err, &failed) || !strings.HasPrefix(failed.Tail, "line 1\n") || !strings.HasSuffix(failed.Tail, "line 100\nlast") {
		t.Errorf("got error %v", err)
	}
	b, _, svc = commandWorkspace(t, "build: [no-such-command]\n")
	if _, err := b.Build(t.Context(), svc); !errors.As(err, &failed) {
		t.Errorf("a command that isn't there: got error %v", err)
	}
}

// What a command started ends with it, even what ignores the signal.
func TestCommandIsInterrupted(t *testing.T) {
	t.Parallel()
	b, _, svc := commandWorkspace(t, `build: [sh, -c, '(trap "" TERM; exec >alive 2>&1; while :; do sleep 1; done) & wait']`+"\n")
	alive := filepath.Join(b.Workspace, "rust/x/alive")
	if err := syscall.Mkfifo(alive, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pipe *os.File // ends when nobody is left who could write to it
	opened := make(chan error, 1)
	go func() {
		var err error
		pipe, err = os.Open(alive) // returns when the child is there
		opened <- err
		cancel()
	}()
	if _, err := b.Build(ctx, svc); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	if err := pipe.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // a child that lives would never let it end
		t.Fatal(err)
	}
	if _, err := io.ReadAll(pipe); err != nil {
		t.Errorf("a child is left: %v", err)
	}
}
