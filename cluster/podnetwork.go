package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where nodes keep the Pod network's configuration, and the one that the node images built here bring. It serves one
// node: every Pod range in it is the first.
const (
	nodeNetDir  = "/etc/cni/net.d"
	nodeNetFile = nodeNetDir + "/10-node-local.conflist"
)

// ConnectPods makes one Pod network of the nodes' own: each node hands out addresses of its own range and has a route to
// those of the others. Of a cluster with one node, or of an image that brings its network as Pods (kindnet), nothing is
// to be done.
//
// The ranges stay, but the routes are gone when a node's container was restarted, whoever did that, and its address may
// be another. So this is done after every start. On a cluster that is connected it changes nothing.
func (c *Cluster) ConnectPods(ctx context.Context) error {
	nodes := c.Nodes()
	if len(nodes) == 1 {
		return nil
	}
	template, err := nodes[NodeName(c.cfg.Sandbox)].Exec(ctx, nil, "sh", "-c", "cat "+nodeNetFile+" 2>/dev/null || true")
	if err != nil {
		return fmt.Errorf("read the pod network's configuration: %w", err)
	}
	if len(bytes.TrimSpace(template)) == 0 {
		return nil
	}
	ranges, err := c.podRanges(ctx)
	if err != nil {
		return err
	}
	addresses, err := c.addresses(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for name, node := range nodes {
		g.Go(func() error {
			conf, err := withRange(template, ranges[name])
			if err != nil {
				return err
			}
			if _, err := node.Exec(ctx, bytes.NewReader(conf), "sh", "-c", connectScript(name, ranges, addresses)); err != nil {
				return fmt.Errorf("connect the pods of node %s: %w", name, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// podRanges returns the range that Kubernetes gave to each node. That takes a moment after a node has joined.
func (c *Cluster) podRanges(ctx context.Context) (map[string]netip.Prefix, error) {
	client, err := c.Client()
	if err != nil {
		return nil, err
	}
	ranges := map[string]netip.Prefix{}
	err = poll(ctx, "every node to have a range of pod addresses", 100*time.Millisecond, func(ctx context.Context) error {
		list, err := client.Clientset.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, n := range list.Items {
			if ranges[n.Name], err = netip.ParsePrefix(n.Spec.PodCIDR); err != nil {
				return fmt.Errorf("range of node %s: %w", n.Name, err)
			}
		}
		for name := range c.Nodes() {
			if !ranges[name].IsValid() {
				return fmt.Errorf("node %s hasn't joined", name)
			}
		}
		return nil
	})
	return ranges, err
}

// addresses returns those that the nodes have on the sandbox's network now. What the API server knows of them may be from
// before a restart.
func (c *Cluster) addresses(ctx context.Context) (map[string]netip.Addr, error) {
	found, err := c.containers(ctx)
	if err != nil {
		return nil, err
	}
	addresses := map[string]netip.Addr{}
	for _, n := range found {
		if n.NetworkSettings == nil || n.NetworkSettings.Networks[c.cfg.Network.Name] == nil {
			return nil, fmt.Errorf("node %s isn't on the network %s", nodeName(n), c.cfg.Network.Name)
		}
		if addresses[nodeName(n)], err = netip.ParseAddr(n.NetworkSettings.Networks[c.cfg.Network.Name].IPAddress); err != nil {
			return nil, fmt.Errorf("address of node %s: %w", nodeName(n), err)
		}
	}
	return addresses, nil
}

// withRange returns the configuration with another range of Pod addresses.
func withRange(conf []byte, r netip.Prefix) ([]byte, error) {
	var list struct {
		Version string           `json:"cniVersion"`
		Name    string           `json:"name"`
		Plugins []map[string]any `json:"plugins"`
	}
	if err := json.Unmarshal(conf, &list); err != nil {
		return nil, fmt.Errorf("read the pod network's configuration: %w", err)
	}
	set := false
	for _, p := range list.Plugins {
		if ipam, ok := p["ipam"].(map[string]any); ok {
			ipam["ranges"] = []any{[]any{map[string]any{"subnet": r.String()}}}
			set = true
		}
	}
	if !set {
		return nil, errors.New("read the pod network's configuration: it says nothing of addresses")
	}
	return json.MarshalIndent(list, "", "  ")
}

// connectScript is what a node does: it keeps the configuration on its standard input, and for each of the others it has a
// route, and leaves the addresses of Pods that speak to Pods there as they are.
func connectScript(name string, ranges map[string]netip.Prefix, addresses map[string]netip.Addr) string {
	script := []string{
		"set -e",
		// Moved there whole: containerd reads it at once.
		fmt.Sprintf("cat > %[1]s/.new; if cmp -s %[1]s/.new %[2]s; then rm %[1]s/.new; else mv %[1]s/.new %[2]s; fi", nodeNetDir, nodeNetFile),
	}
	for other, address := range addresses {
		if other == name {
			continue
		}
		rule := fmt.Sprintf("POSTROUTING -s %s -d %s -j ACCEPT", ranges[name], ranges[other])
		script = append(script,
			fmt.Sprintf("ip route replace %s via %s", ranges[other], address),
			fmt.Sprintf("iptables -w -t nat -C %[1]s 2>/dev/null || iptables -w -t nat -I %[1]s", rule))
	}
	return strings.Join(script, "\n")
}
