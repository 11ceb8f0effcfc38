package sandbox

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
)

// programImage is an image with files in /app, by name.
func programImage(t *testing.T, files map[string]string) v1.Image {
	t.Helper()
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for name, text := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: "app/" + name, Mode: 0o755, Size: int64(len(text)), Uid: os.Getuid(), Gid: os.Getgid()}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err == nil {
		img, err = mutate.Config(img, v1.Config{WorkingDir: "/app"})
	}
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// A change that is taken back leaves the folder, and what is known of it, as it was.
func TestMountedFolderIsGoneBackTo(t *testing.T) {
	t.Parallel()
	m := mounts{dir: t.TempDir(), reader: &images.DirectoryReader{}}
	points := []string{"/app/etcd", "/var/lib"}
	if err := m.put("agent", programImage(t, map[string]string{"agent": "1", "same": "same", "old/file": "old"}), points); err != nil {
		t.Fatal(err)
	}
	before, ok := m.read("agent")
	if !ok || before.Path != "/app" {
		t.Fatalf("the folder holds %+v, %v", before, ok)
	}
	if err := m.keep("agent"); err != nil {
		t.Fatal(err)
	}
	if err := m.put("agent", programImage(t, map[string]string{"agent": "2", "same": "same", "new/file": "new", "old": "a file"}), points); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m.dir, "agent", "agent"); got != "2" {
		t.Errorf("after the change: %q", got)
	}
	if now, ok := m.read("agent"); !ok || now.Image == before.Image || now.Outside != before.Outside {
		t.Errorf("the folder holds %+v, %v; before %+v", now, ok, before)
	}
	if err := m.goBack("agent"); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"agent": "1", "same": "same", "old/file": "old"} {
		if got := read(t, m.dir, "agent", file); got != want {
			t.Errorf("%s after going back: %q", file, got)
		}
	}
	left, err := filepath.Glob(filepath.Join(m.dir, "agent", "*"))
	if want := []string{"agent", "etcd", "old", "same"}; err != nil || !slices.Equal(bases(left), want) {
		t.Errorf("in the folder: %v, %v; want %v", left, err, want)
	}
	if now, ok := m.read("agent"); !ok || now.Image != before.Image {
		t.Errorf("the folder is said to hold %+v, %v", now, ok)
	}
	if _, err := os.Stat(m.before("agent")); !os.IsNotExist(err) {
		t.Errorf("the copy is left: %v", err)
	}
}

func bases(paths []string) []string {
	var out []string
	for _, p := range paths {
		out = append(out, filepath.Base(p))
	}
	return out
}

// A session that is killed while it writes leaves a folder that the next doesn't trust.
func TestMountedFolderHalfWritten(t *testing.T) {
	t.Parallel()
	m := mounts{dir: t.TempDir(), reader: &images.DirectoryReader{}}
	img := programImage(t, map[string]string{"agent": "1"})
	if err := m.put("agent", img, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.forget("agent"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.dir, "agent", "agent"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.read("agent"); ok {
		t.Error("it is known what is in the folder")
	}
	if err := m.put("agent", img, nil); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m.dir, "agent", "agent"); got != "1" {
		t.Errorf("the folder has %q", got)
	}
}

func TestMountsOfAWorkspace(t *testing.T) {
	t.Parallel()
	tag, err := name.NewTag("a/orchestrator:main")
	if err != nil {
		t.Fatal(err)
	}
	svc := images.Service{Name: "orchestrator", Refs: []name.Tag{tag}}
	o := deploymentOf("a/orchestrator:main", "other/x:main")
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	containers[0].(map[string]any)["volumeMounts"] = []any{
		map[string]any{"name": "files", "mountPath": "/app/etcd"}, map[string]any{"name": "tmp", "mountPath": "/tmp"}}
	if err := unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers"); err != nil {
		t.Fatal(err)
	}
	w := &workspace{launch: new(fixtures.Set), found: images.Found{Services: []images.Service{svc}}, rendered: &cluster.Rendered{Objects: []cluster.Object{o}}}
	m := mounts{dir: t.TempDir(), reader: &images.DirectoryReader{}}
	if got := m.of(w); len(got) != 0 {
		t.Errorf("nothing is in the folder, and mounted is %v", got)
	}
	if err := m.put(svc.Name, programImage(t, map[string]string{"orchestrator": "1"}), pointsOf(w, svc)); err != nil {
		t.Fatal(err)
	}
	all := m.of(w)
	if len(all) != 1 || !slices.Equal(all[0].Points, []string{"/app/etcd"}) || !slices.Equal(all[0].Images, []string{"docker.io/a/orchestrator:main"}) {
		t.Fatalf("mounted is %+v", all)
	}
	if info, err := os.Stat(filepath.Join(m.dir, svc.Name, "etcd")); err != nil || !info.IsDir() {
		t.Errorf("the folder has no place for the volume: %v", err)
	}
	if err := annotateMounts(o, all); err != nil {
		t.Fatal(err)
	}
	if got, _, _ := unstructured.NestedString(o.Object, "spec", "template", "metadata", "annotations", annotationMounted); got != "orchestrator at /app" {
		t.Errorf("the template says %q", got)
	}
	// A part of a volume may be a file: the folder can't have a place for it, and the container keeps its image's.
	containers[0].(map[string]any)["volumeMounts"] = []any{map[string]any{"name": "files", "mountPath": "/app/config.json", "subPath": "config.json"}}
	if _, ok := takes(m.of(w), containers[0].(map[string]any)); ok {
		t.Error("a container with a file in the folder gets the mount")
	}
}
