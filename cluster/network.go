package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/gofrs/flock"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// Network is the Docker bridge network of one sandbox. Its node, its broker and nothing else are on it.
type Network struct {
	Name    string       `json:"name"`
	ID      string       `json:"id"`
	Subnet  netip.Prefix `json:"subnet"`
	Gateway netip.Addr   `json:"gateway"` // the host, as Pods see it: the config store listens there
	Broker  netip.Addr   `json:"broker"`  // set aside for the broker; the engine never gives it to another container
}

// NetworkName returns the name of a sandbox's network.
func NetworkName(sandbox string) string { return "dynsandbox-" + sandbox }

// brokerHost is the broker's place in the subnet: in the lower half, from which the engine takes no addresses.
const brokerHost = 10

// EnsureNetwork returns the sandbox's network and creates it if there is none. Its subnet overlaps neither
// another Docker network nor a route of this host.
//
// The network says in which state folder its sandbox is kept. One of another folder is refused: nodes and broker are
// found by the sandbox's name, and a second sandbox of that name would replace those of the first.
func EnsureNetwork(ctx context.Context, docker client.APIClient, sandbox, stateDir string) (Network, error) {
	name := NetworkName(sandbox)
	// Docker allows two networks of one name, and two sandboxes that start at once would choose the same subnet.
	lock := flock.New(filepath.Join(os.TempDir(), fmt.Sprintf("dynsandbox-network-%d.lock", os.Getuid())))
	if _, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return Network{}, fmt.Errorf("lock network creation: %w", err)
	}
	defer lock.Unlock()

	if existing, found, err := FindNetwork(ctx, docker, sandbox, stateDir); err != nil || found {
		return existing, err
	}

	taken := hostPrefixes()
	all, err := docker.NetworkList(ctx, network.ListOptions{})
	if err != nil {
		return Network{}, fmt.Errorf("list networks: %w", err)
	}
	for _, n := range all {
		for _, c := range n.IPAM.Config {
			if p, err := netip.ParsePrefix(c.Subnet); err == nil {
				taken = append(taken, p.Masked())
			}
		}
	}
	free := candidates()
	for {
		subnet, err := freeSubnet(sandbox, free, taken)
		if err != nil {
			return Network{}, err
		}
		_, err = docker.NetworkCreate(ctx, name, createOptions(sandbox, stateDir, subnet))
		if err == nil {
			break
		}
		// A network that the engine knows of and we don't see: another user's route, or one being removed.
		if !strings.Contains(err.Error(), "overlaps with other one") {
			return Network{}, fmt.Errorf("create network %s: %w", name, err)
		}
		taken = append(taken, subnet)
	}
	created, found, err := FindNetwork(ctx, docker, sandbox, stateDir)
	if err == nil && !found {
		err = fmt.Errorf("network %s went away as soon as it was made", name)
	}
	return created, err
}

// FindNetwork returns the sandbox's network if there is one. It refuses the same as [EnsureNetwork].
func FindNetwork(ctx context.Context, docker client.APIClient, sandbox, stateDir string) (_ Network, found bool, err error) {
	existing, err := docker.NetworkInspect(ctx, NetworkName(sandbox), network.InspectOptions{})
	if errdefs.IsNotFound(err) {
		return Network{}, false, nil
	}
	if err != nil {
		return Network{}, false, fmt.Errorf("inspect network %s: %w", NetworkName(sandbox), err)
	}
	n, err := ours(existing, sandbox, stateDir)
	return n, err == nil, err
}

func createOptions(sandbox, stateDir string, subnet netip.Prefix) network.CreateOptions {
	return network.CreateOptions{
		Driver: "bridge",
		IPAM: &network.IPAM{Driver: "default", Config: []network.IPAMConfig{{
			Subnet:  subnet.String(),
			Gateway: nth(subnet, 1).String(),
			IPRange: upperHalf(subnet).String(),
		}}},
		Labels: map[string]string{engine.LabelSandbox: sandbox, engine.LabelRole: "network", engine.LabelOwner: stateDir},
	}
}

// ErrOtherOwner is the error of a sandbox whose name belongs to one with another state folder.
var ErrOtherOwner = errors.New("the name is taken")

// ours reads an inspected network, and refuses one of the same name that isn't the sandbox's.
func ours(n network.Inspect, sandbox, stateDir string) (Network, error) {
	if n.Labels[engine.LabelSandbox] != sandbox {
		return Network{}, fmt.Errorf("network %s exists, but isn't this sandbox's (it lacks the label %s=%s)", n.Name, engine.LabelSandbox, sandbox)
	}
	// Networks of earlier versions don't say whose they are.
	if owner := n.Labels[engine.LabelOwner]; owner != "" && owner != stateDir {
		return Network{}, fmt.Errorf("%w: sandbox %q has its state in %s, not in %s", ErrOtherOwner, sandbox, owner, stateDir)
	}
	for _, c := range n.IPAM.Config {
		subnet, err := netip.ParsePrefix(c.Subnet)
		if err != nil || !subnet.Addr().Is4() {
			continue
		}
		gateway, err := netip.ParseAddr(c.Gateway)
		if err != nil {
			return Network{}, fmt.Errorf("gateway of network %s: %w", n.Name, err)
		}
		return Network{Name: n.Name, ID: n.ID, Subnet: subnet, Gateway: gateway, Broker: nth(subnet, brokerHost)}, nil
	}
	return Network{}, fmt.Errorf("network %s has no IPv4 subnet", n.Name)
}
