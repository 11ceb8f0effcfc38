package cluster

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
)

// Client speaks to the API server of one sandbox's cluster.
type Client struct {
	Config    *rest.Config
	Clientset kubernetes.Interface
	Dynamic   dynamic.Interface

	sandbox string
	mapper  meta.ResettableRESTMapper
}

// Client returns a client that uses the cluster's own kubeconfig. Nothing is sent yet.
func (c *Cluster) Client() (*Client, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	// One user on one machine: the client's own brake would only make a bring-up slower.
	cfg.QPS, cfg.Burst = 1000, 1000
	cfg.UserAgent = "dynsandbox"
	clientset, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("create kubernetes client: %w", err)
	}
	dyn, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("create kubernetes client: %w", err)
	}
	return &Client{
		Config: cfg, Clientset: clientset, Dynamic: dyn, sandbox: c.cfg.Sandbox,
		mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(clientset.Discovery())),
	}, nil
}
