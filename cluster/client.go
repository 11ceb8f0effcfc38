package cluster

import (
	"bytes"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Client speaks to the API server of one sandbox's cluster. It keeps its connections, and what it learned of the
// cluster's kinds: use one for as long as the cluster stands.
type Client struct {
	Config    *rest.Config
	Clientset kubernetes.Interface
	Dynamic   dynamic.Interface

	sandbox    string
	kinds      discovery.CachedDiscoveryInterface
	mapper     meta.ResettableRESTMapper // of the kinds
	kubeconfig []byte                    // that it was made from
}

// Client returns a client that uses the cluster's own kubeconfig: the same one, while that stays the same.
// Nothing is sent yet.
func (c *Cluster) Client() (*Client, error) {
	kubeconfig, err := os.ReadFile(c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept != nil && bytes.Equal(c.kept.kubeconfig, kubeconfig) {
		return c.kept, nil
	}
	made, err := newClient(c.cfg.Sandbox, kubeconfig)
	if err == nil {
		c.kept = made
	}
	return made, err
}

// Keep hands over a client of the same sandbox (or nil) from an earlier [Cluster]: [Cluster.Client] goes on with it if
// the cluster is still the same.
func (c *Cluster) Keep(earlier *Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = earlier
}

func newClient(sandbox string, kubeconfig []byte) (*Client, error) {
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	cfg.QPS = -1 // one user on one machine: the client's own brake would only make a bring-up slower
	cfg.UserAgent = "dynsandbox"
	clientset, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("create kubernetes client: %w", err)
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("create kubernetes client: %w", err)
	}
	kinds := memory.NewMemCacheClient(clientset.Discovery())
	return &Client{
		Config: cfg, Clientset: clientset, Dynamic: dyn, sandbox: sandbox, kubeconfig: kubeconfig,
		kinds: kinds, mapper: restmapper.NewDeferredDiscoveryRESTMapper(kinds),
	}, nil
}
