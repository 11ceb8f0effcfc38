package cluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// StartedAt returns when the cluster's nodes were last started, by their names.
func (c *Cluster) StartedAt(ctx context.Context) (map[string]time.Time, error) {
	started := map[string]time.Time{}
	for name := range c.Nodes() {
		node, err := c.docker.ContainerInspect(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("inspect node %s: %w", name, err)
		}
		if node.State == nil {
			return nil, fmt.Errorf("inspect node %s: the engine doesn't tell its state", name)
		}
		if started[name], err = time.Parse(time.RFC3339Nano, node.State.StartedAt); err != nil {
			return nil, fmt.Errorf("inspect node %s: %w", name, err)
		}
	}
	return started, nil
}

// WaitRunning waits until all containers of the workloads' Pods run, and were started after their node was, and until the
// Services lead to just the Pods that are ready. When a node comes back the API server still has what it last heard of its
// Pods: that they are ready, and at which addresses, which other Pods may have by then. It is for the kubelet to say
// otherwise, seconds later.
func (c *Client) WaitRunning(ctx context.Context, objects []Object, nodeStarted map[string]time.Time) error {
	for _, o := range objects {
		if !IsWorkload(o) {
			continue
		}
		err := poll(ctx, o.ID()+" to run again on a node that was started", 200*time.Millisecond, func(ctx context.Context) error {
			pods, err := c.Clientset.CoreV1().Pods(namespaceOf(o)).List(ctx, metav1.ListOptions{LabelSelector: selectorOf(o), ResourceVersion: "0"})
			if err != nil {
				return err
			}
			for _, p := range pods.Items {
				after := nodeStarted[p.Spec.NodeName].Truncate(time.Second) // as Kubernetes tells time
				if err := stale(&p, after); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, o := range objects {
		selector, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector")
		if o.GetKind() != "Service" || len(selector) == 0 {
			continue
		}
		err := poll(ctx, o.ID()+" to lead to its Pods", 50*time.Millisecond, func(ctx context.Context) error {
			return c.leads(ctx, namespaceOf(o), o.GetName(), selector)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// WaitServices waits until Services lead to their Pods from every node: after a node's start that is so when its kube-proxy has
// written them down, which may be after Pods of that node are ready. The API server's own Service is asked, as agents ask it.
// When the nodes came back with each other's addresses, it leads to the former one too, until that server's lease runs out.
func (c *Cluster) WaitServices(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	service, err := client.Clientset.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("find the API server's Service: %w", err)
	}
	addresses, err := c.addresses(ctx)
	if err != nil {
		return err
	}
	want := []string{addresses[NodeName(c.cfg.Sandbox)].String()}
	err = poll(ctx, "the API server's Service to lead to it alone", 100*time.Millisecond, func(ctx context.Context) error {
		got, err := client.leadsTo(ctx, service.Namespace, service.Name, "0")
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("it is at %v, the Service leads to %v", want, got)
		}
		return err
	})
	if err != nil {
		return err
	}
	connect := fmt.Sprintf(serviceScript, service.Spec.ClusterIP)
	var g errgroup.Group
	for name, node := range c.Nodes() {
		g.Go(func() error {
			return poll(ctx, "Services to lead somewhere on node "+name, 100*time.Millisecond, func(ctx context.Context) error {
				_, err := node.Exec(ctx, nil, "timeout", "2", "bash", "-c", connect)
				return err
			})
		})
	}
	return g.Wait()
}

// serviceScript connects to a Service often: kube-proxy draws lots, and may still know an address that leads nowhere.
const serviceScript = "for i in {1..20}; do </dev/tcp/%s/443 || exit; done"

// leads returns an error as long as a Service's endpoints aren't the Pods that are ready.
func (c *Client) leads(ctx context.Context, namespace, service string, selector map[string]string) error {
	pods, err := c.Clientset.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: labels.FormatLabels(selector), ResourceVersion: "0"})
	if err != nil {
		return err
	}
	got, err := c.leadsTo(ctx, namespace, service, "0")
	if err != nil {
		return err
	}
	var want []string
	for _, p := range pods.Items {
		if isReady(&p) && p.DeletionTimestamp == nil && p.Status.PodIP != "" {
			want = append(want, p.Status.PodIP)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Errorf("its Pods have the addresses %v, it leads to %v", want, got)
	}
	return nil
}

// leadsTo returns the addresses that a Service has as ready, as of a version or newer ("": the newest).
func (c *Client) leadsTo(ctx context.Context, namespace, service, version string) (addresses []string, err error) {
	lists, err := c.Clientset.DiscoveryV1().EndpointSlices(namespace).List(ctx, metav1.ListOptions{
		LabelSelector: discoveryv1.LabelServiceName + "=" + service, ResourceVersion: version,
	})
	if err != nil {
		return nil, err
	}
	for _, list := range lists.Items {
		for _, e := range list.Endpoints {
			if e.Conditions.Ready == nil || *e.Conditions.Ready {
				addresses = append(addresses, e.Addresses...)
			}
		}
	}
	return addresses, nil
}

// waitLed waits until the Services that select a Pod, which is ready, lead to it.
func (c *Client) waitLed(ctx context.Context, p *corev1.Pod) error {
	services, err := c.Clientset.CoreV1().Services(p.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the Services that lead to Pod %s: %w", p.Name, err)
	}
	for _, s := range services.Items {
		if len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.Labels)) {
			continue
		}
		err := poll(ctx, "Service "+s.Namespace+"/"+s.Name+" to lead to Pod "+p.Name, 20*time.Millisecond, func(ctx context.Context) error {
			addresses, err := c.leadsTo(ctx, s.Namespace, s.Name, "")
			if err == nil && !slices.Contains(addresses, p.Status.PodIP) {
				err = fmt.Errorf("it leads to %v", addresses)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// stale says what of a Pod's status is from before a time; nil when nothing is.
func stale(p *corev1.Pod, after time.Time) error {
	if p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return nil
	}
	for _, s := range p.Status.ContainerStatuses {
		switch r := s.State.Running; {
		case r == nil:
			return fmt.Errorf("container %s of Pod %s doesn't run", s.Name, p.Name)
		case r.StartedAt.Time.Before(after):
			return fmt.Errorf("container %s of Pod %s was last heard of before the node's start", s.Name, p.Name)
		}
	}
	if !isReady(p) {
		return fmt.Errorf("Pod %s isn't ready", p.Name)
	}
	return nil
}
