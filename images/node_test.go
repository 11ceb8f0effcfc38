package images

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// fakeNode behaves like ctr on a node: an import stores blobs, wants for every layer its content or its snapshot,
// unpacks, and then names; containerd's CRI then names the image once more, by its ID.
type fakeNode struct {
	content    map[string][]byte
	snapshots  map[string]bool
	names      map[string]string
	containers []string // the names of images that they were made of
	cantRemove bool     // names can't be removed

	imports    int
	received   []string // digests of the blobs in the last archive
	breakAfter int64    // an import reads so many bytes, and fails; 0: never
	namesFirst bool     // a failed import leaves its names behind, as ctr's --local does
	noUnpack   bool     // an import succeeds, but unpacks nothing
	stopAfter  int64    // an import reads so many bytes, and says that it has done everything; 0: never
	cantTell   bool     // asked what it has, the node fails
	afterState func()   // runs once after the node was asked what it has
}

func newFakeNode() *fakeNode {
	return &fakeNode{content: map[string][]byte{}, snapshots: map[string]bool{}, names: map[string]string{}}
}

func (n *fakeNode) Exec(_ context.Context, stdin io.Reader, argv ...string) ([]byte, error) {
	line := strings.Join(argv, " ")
	switch {
	case argv[0] == "sh" && n.cantTell:
		return nil, errors.New("containerd doesn't answer")
	case argv[0] == "sh":
		out := n.state()
		if f := n.afterState; f != nil {
			n.afterState = nil
			f()
		}
		return out, nil
	case strings.HasPrefix(line, "ctr -n k8s.io images import "):
		for _, never := range []string{"--all-platforms", "--no-unpack", "--digests"} {
			if strings.Contains(line, never) {
				return nil, fmt.Errorf("import with %s", never)
			}
		}
		return nil, n.load(stdin)
	case line == "ctr -n k8s.io images ls":
		return n.imageList(), nil
	case strings.HasPrefix(line, "ctr -n k8s.io images rm "):
		if n.cantRemove {
			return nil, errors.New("containerd doesn't answer")
		}
		for _, ref := range argv[5:] {
			delete(n.names, ref)
		}
		return nil, nil
	}
	return nil, fmt.Errorf("unexpected command %q", line)
}

func (n *fakeNode) state() []byte {
	var b bytes.Buffer
	b.WriteString("== content\n")
	for d := range n.content {
		fmt.Fprintln(&b, d)
	}
	b.WriteString("== snapshots\nKEY PARENT KIND\n")
	for s, committed := range n.snapshots {
		if !committed {
			continue
		}
		fmt.Fprintf(&b, "%s\tsha256:parent\tCommitted\n", s)
	}
	b.WriteString("extract-1 Active\n== containers\nCONTAINER IMAGE RUNTIME\n")
	for i, ref := range n.containers {
		fmt.Fprintf(&b, "c%d %s io.containerd.runc.v2\n", i, ref)
	}
	b.WriteString("== images\n")
	b.Write(n.imageList())
	return b.Bytes()
}

func (n *fakeNode) imageList() []byte {
	var b bytes.Buffer
	b.WriteString("REF TYPE DIGEST SIZE PLATFORMS LABELS\n")
	for ref, d := range n.names {
		fmt.Fprintf(&b, "%s application/vnd.oci.image.manifest.v1+json %s 1.0 MiB linux/amd64 -\n", ref, d)
	}
	return b.Bytes()
}

func (n *fakeNode) load(r io.Reader) error {
	n.imports++
	n.received = nil
	if n.stopAfter > 0 {
		_, err := io.CopyN(io.Discard, r, n.stopAfter)
		return err
	}
	if n.breakAfter > 0 {
		r = io.MultiReader(io.LimitReader(r, n.breakAfter), errorReader{errors.New("no space left on device")})
	}
	var index v1.IndexManifest
	fail := func(err error) error {
		if n.namesFirst {
			for _, m := range index.Manifests {
				n.name(m.Annotations[annotationName], m.Digest)
			}
		}
		return err
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fail(err)
		}
		sum := sha256.New()
		var kept bytes.Buffer // of what is large only the digest
		if _, err := io.Copy(io.MultiWriter(sum, limitWriter{&kept, 1 << 20}), tr); err != nil {
			return fail(err)
		}
		b := kept.Bytes()
		if h.Name == "index.json" {
			if err := json.Unmarshal(b, &index); err != nil {
				return err
			}
		}
		if hexName, ok := strings.CutPrefix(h.Name, "blobs/sha256/"); ok {
			if hex.EncodeToString(sum.Sum(nil)) != hexName {
				return fail(fmt.Errorf("blob %s has other content", hexName))
			}
			n.content["sha256:"+hexName] = b
			n.received = append(n.received, "sha256:"+hexName)
		}
	}
	for _, d := range index.Manifests {
		var m v1.Manifest
		if err := json.Unmarshal(n.content[d.Digest.String()], &m); err != nil {
			return fail(err)
		}
		var c v1.ConfigFile
		if err := json.Unmarshal(n.content[m.Config.Digest.String()], &c); err != nil {
			return fail(err)
		}
		for i, chain := range chainIDs(c.RootFS.DiffIDs) {
			if _, ok := n.content[m.Layers[i].Digest.String()]; !ok && !n.snapshots[chain] {
				return fail(fmt.Errorf("content digest %s: not found", m.Layers[i].Digest))
			}
			n.snapshots[chain] = !n.noUnpack
		}
		n.name(d.Annotations[annotationName], d.Digest)
	}
	return nil
}

// name names an image, and lets the CRI name it, which needs the manifest to tell the ID.
func (n *fakeNode) name(ref string, digest v1.Hash) {
	n.names[ref] = digest.String()
	var m v1.Manifest
	if json.Unmarshal(n.content[digest.String()], &m) == nil {
		n.names[m.Config.Digest.String()] = digest.String()
	}
}

// limitWriter keeps no more than the first n bytes.
type limitWriter struct {
	w *bytes.Buffer
	n int
}

func (l limitWriter) Write(p []byte) (int, error) {
	l.w.Write(p[:min(len(p), max(0, l.n-l.w.Len()))])
	return len(p), nil
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestParseNodeState(t *testing.T) {
	t.Parallel()
	s, err := parseNodeState("== content\nsha256:aa\n\n== snapshots\nKEY PARENT KIND\nsha256:c1        Committed\nsha256:c2 sha256:c1 Committed\nx1 sha256:c2 Active\n" +
		"== containers\nCONTAINER IMAGE RUNTIME\nc1 docker.io/a/b:c io.containerd.runc.v2\n== images\nREF TYPE DIGEST SIZE PLATFORMS LABELS\ndocker.io/a/b:c application/x sha256:aa 1.9 MiB linux/amd64 k=v\n")
	if err != nil {
		t.Fatal(err)
	}
	if !s.content["sha256:aa"] || !s.snapshots["sha256:c1"] || !s.snapshots["sha256:c2"] || s.snapshots["x1"] || s.names["docker.io/a/b:c"] != "sha256:aa" || len(s.names) != 1 || !s.used["docker.io/a/b:c"] {
		t.Errorf("got %+v", s)
	}
	if _, err := parseNodeState("ctr: cannot access socket\n"); err == nil {
		t.Error("output of another kind was accepted")
	}
}
