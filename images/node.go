package images

import (
	"context"
	"fmt"
	"io"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/image-spec/identity"

	"github.com/opencontainers/go-digest"
)

// Node runs commands on a machine with containerd, as the user root. It is the only way by which this package
// reaches a cluster.
type Node interface {
	// Exec runs argv with stdin (nil: none) and returns its standard output. It must return an error when the
	// command exits non-zero, or when stdin could not be read to its end.
	Exec(ctx context.Context, stdin io.Reader, argv ...string) ([]byte, error)
}

// snapshotter is where kind's containerd unpacks images, and where the kubelet's containers are made from.
const snapshotter = "overlayfs"

// namespace is the kubelet's, in containerd.
const namespace = "k8s.io"

// nodeState is what a node's containerd has.
type nodeState struct {
	content   map[string]bool   // digests of blobs
	snapshots map[string]bool   // chain IDs of unpacked layers
	names     map[string]string // manifest digests, by normalised reference
	used      map[string]bool   // names of images, as containers were made of them

	unreliable bool // content and snapshots may be gone before they are used
}

// stateScript prints everything that a nodeState is made of, with one round trip.
var stateScript = strings.NewReplacer("NS", namespace, "SN", snapshotter).Replace(`set -e
echo '== content'; ctr -n NS content ls -q
echo '== snapshots'; ctr -n NS snapshots --snapshotter SN ls
echo '== containers'; ctr -n NS containers ls
echo '== images'; ctr -n NS images ls`)

func readNodeState(ctx context.Context, node Node) (nodeState, error) {
	out, err := node.Exec(ctx, nil, "sh", "-c", stateScript)
	if err != nil {
		return nodeState{}, fmt.Errorf("ask the node which images it has: %w", err)
	}
	return parseNodeState(string(out))
}

func parseNodeState(out string) (nodeState, error) {
	s := nodeState{content: map[string]bool{}, snapshots: map[string]bool{}, names: map[string]string{}, used: map[string]bool{}}
	section := ""
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if f[0] == "==" && len(f) == 2 {
			section = f[1]
			continue
		}
		switch section {
		case "content":
			s.content[f[0]] = true
		case "snapshots":
			if f[len(f)-1] == "Committed" { // others are containers' own, or half unpacked
				s.snapshots[f[0]] = true
			}
		case "containers":
			if len(f) >= 2 {
				s.used[f[1]] = true
			}
		case "images":
			if len(f) >= 3 && f[0] != "REF" {
				s.names[f[0]] = f[2]
			}
		default:
			return s, fmt.Errorf("ask the node which images it has: unexpected output %q", strings.TrimSpace(line))
		}
	}
	return s, nil
}

// runs reports whether the node can make a container of an image: its manifest and configuration are there, and all
// its layers are unpacked. The layers' blobs are not needed for that.
func (s nodeState) runs(p parts) bool {
	return s.content[p.manifest.digest.String()] && s.content[p.config.digest.String()] &&
		(len(p.chains) == 0 || s.snapshots[p.chains[len(p.chains)-1]])
}

// lacks reports whether the node needs the content of layer i: neither it nor what it unpacks to is there.
func (s nodeState) lacks(p parts, i int) bool {
	return s.unreliable || !s.content[p.layers[i].digest.String()] && !s.snapshots[p.chains[i]]
}

// chainIDs returns, for each layer, the name of the snapshot that it and those below it unpack to.
func chainIDs(diffIDs []v1.Hash) []string {
	ids := make([]digest.Digest, len(diffIDs))
	for i, d := range diffIDs {
		ids[i] = digest.Digest(d.String())
	}
	chains := make([]string, len(ids))
	for i, c := range identity.ChainIDs(ids) {
		chains[i] = c.String()
	}
	return chains
}

// NodeImages returns the manifest digests of the images on a node, by normalised reference
// ("docker.io/dynamos1/agent:main"). It asks for the names alone: a check that a sandbox makes each time that it resumes.
func NodeImages(ctx context.Context, node Node) (map[string]string, error) {
	out, err := node.Exec(ctx, nil, "ctr", "-n", namespace, "images", "ls")
	if err != nil {
		return nil, fmt.Errorf("ask the node which images it has: %w", err)
	}
	s, err := parseNodeState("== images\n" + string(out))
	return s.names, err
}
