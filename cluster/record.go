package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// record is what Create leaves in the state folder; only a finished one counts.
type record struct {
	Complete   bool   `json:"complete"`
	NodeImage  string `json:"nodeImage"`
	Kubernetes string `json:"kubernetes"`
	NetworkID  string `json:"networkID"`
	LaunchDir  string `json:"launchDir"`
	Nodes      int    `json:"nodes"`    // 0 in records of earlier versions: 1
	Settings   string `json:"settings"` // design.hash; empty in records of earlier versions
}

func recordFile(stateDir string) string { return filepath.Join(stateDir, "cluster.json") }

func (c *Cluster) writeRecord(r record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	// Written aside and renamed: a kill in between leaves the old one.
	file := recordFile(c.cfg.StateDir)
	tmp := file + ".new"
	if err := os.WriteFile(tmp, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write cluster record: %w", err)
	}
	if err := os.Rename(tmp, file); err != nil {
		return fmt.Errorf("write cluster record: %w", err)
	}
	return nil
}

func readRecord(stateDir string) record {
	var r record
	if b, err := os.ReadFile(recordFile(stateDir)); err != nil || json.Unmarshal(b, &r) != nil {
		return record{} // no record, no finished cluster
	}
	return r
}

func (c *Cluster) readRecord() record { return readRecord(c.cfg.StateDir) }

// KubernetesVersion returns the version of the cluster that was created, as "v1.37.2"; empty when none was.
func (c *Cluster) KubernetesVersion() string { return c.readRecord().Kubernetes }

// RecordedNodeImage returns the node image of the cluster that was created with that state folder, and its Kubernetes
// version; ok is false when none was, or not to its end. A sandbox that has a cluster needs no other image.
func RecordedNodeImage(stateDir string) (image, kubernetes string, ok bool) {
	r := readRecord(stateDir)
	if !r.Complete {
		return "", "", false
	}
	return r.NodeImage, r.Kubernetes, true
}

// RecordedNodes returns how many nodes the cluster has that was created with that state folder; ok is false when none was, or
// not to its end.
func RecordedNodes(stateDir string) (nodes int, ok bool) {
	r := readRecord(stateDir)
	return max(r.Nodes, 1), r.Complete
}

// Outdated says in one line what Create would do otherwise than it was done for the cluster that stands; "" when that
// is nothing, or there is no cluster. It is for people to decide: a cluster is never made anew for it, as that would
// throw away what runs.
func (c *Cluster) Outdated(ctx context.Context) (string, error) {
	r := c.readRecord()
	if !r.Complete {
		return "", nil
	}
	if r.NodeImage != c.cfg.NodeImage {
		return fmt.Sprintf("the cluster runs node image %s, and %s is wanted", r.NodeImage, c.cfg.NodeImage), nil
	}
	if is, wanted := max(r.Nodes, 1), max(c.cfg.Nodes, 1); is != wanted {
		return fmt.Sprintf("the cluster was made with --nodes %d, and --nodes %d is wanted", is, wanted), nil
	}
	if r.Settings == "" {
		return "", nil
	}
	now, err := c.design(ctx, r.Kubernetes)
	if err != nil || now.hash == r.Settings {
		return "", err
	}
	return "the cluster was made with other settings of its node or policies than this version has", nil
}

// design is what a cluster is made from, beside the node image itself.
type design struct {
	static bool   // the API server loads the policies from files
	quirks Quirks // of this machine
	kind   []byte // kind's configuration
	hash   string // of all that
}

func (c *Cluster) design(ctx context.Context, kubernetes string) (design, error) {
	var d design
	var err error
	if d.static, err = c.cfg.policyRoute(kubernetes); err != nil {
		return d, err
	}
	if d.quirks, err = DetectQuirks(ctx, c.docker); err != nil {
		return d, err
	}
	if d.kind, err = render(c.cfg.kindConfig(d.static, d.quirks)); err != nil {
		return d, err
	}
	policies, err := policyFile("")
	if err != nil {
		return d, err
	}
	h := sha256.New()
	for _, part := range [][]byte{d.kind, policies, kubeletUnit} {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	d.hash = hex.EncodeToString(h.Sum(nil))[:32]
	return d, nil
}
