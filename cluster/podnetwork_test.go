package cluster

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dynsandbox/dynsandbox/internal/engine/enginetest"
)

// said is what the nodes were told to do: scripts and what they got on standard input.
type said struct {
	mu  sync.Mutex
	all []string
}

// connected runs ConnectPods on a cluster of two nodes whose control plane has that configuration of the Pod network.
func connected(t *testing.T, conf string) (string, error) {
	t.Helper()
	told := &said{}
	at := func(c container.InspectResponse, address string) container.InspectResponse {
		c.NetworkSettings.Networks = map[string]*network.EndpointSettings{"dynsandbox-example": {IPAddress: address}}
		return c
	}
	c := testCluster(t, &enginetest.Engine{
		Containers: []container.InspectResponse{at(node("running"), "10.213.1.129"), at(workerNode("worker", "running"), "10.213.1.128")},
		Exec: func(argv []string, stdin io.Reader, stdout, _ io.Writer) int {
			if strings.HasPrefix(argv[2], "cat "+nodeNetFile) {
				fmt.Fprint(stdout, conf)
				return 0
			}
			in := make([]byte, 4096)
			n, _ := io.ReadAtLeast(stdin, in, 1)
			told.mu.Lock()
			defer told.mu.Unlock()
			told.all = append(told.all, argv[2], string(in[:n]))
			return 0
		},
	})
	finished(t, c, func(r *record) { r.Nodes = 2 })
	// The second node gets its range a moment later.
	asked := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		list := corev1.NodeList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NodeList"}, Items: []corev1.Node{
			{ObjectMeta: metav1.ObjectMeta{Name: NodeName("example")}, Spec: corev1.NodeSpec{PodCIDR: "10.244.0.0/24"}},
			{ObjectMeta: metav1.ObjectMeta{Name: "dynsandbox-example-worker"}},
		}}
		if asked++; asked > 1 {
			list.Items[1].Spec.PodCIDR = "10.244.1.0/24"
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(list)
	}))
	defer api.Close()
	kubeconfig(t, c, api.URL)
	err := c.ConnectPods(t.Context())
	told.mu.Lock()
	defer told.mu.Unlock()
	return strings.Join(told.all, "\n"), err
}

func TestConnectPods(t *testing.T) {
	t.Parallel()
	const conf = `{"cniVersion":"1.0.0","name":"node-local","plugins":[{"type":"ptp","ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.0.0/24"}]]}},{"type":"portmap"}]}`
	told, err := connected(t, conf)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"ip route replace 10.244.1.0/24 via 10.213.1.128", `"subnet": "10.244.0.0/24"`,
		"ip route replace 10.244.0.0/24 via 10.213.1.129", `"subnet": "10.244.1.0/24"`,
		"POSTROUTING -s 10.244.1.0/24 -d 10.244.0.0/24 -j ACCEPT", `"type": "portmap"`,
	} {
		if !strings.Contains(told, want) {
			t.Errorf("no node was told %q:\n%s", want, told)
		}
	}
	if n := strings.Count(told, "ip route"); n != 2 {
		t.Errorf("%d routes, want one a node", n)
	}
}

// An image that brings its own Pod network is left alone.
func TestConnectPodsOfAnotherImage(t *testing.T) {
	t.Parallel()
	if told, err := connected(t, ""); err != nil || told != "" {
		t.Errorf("nodes were told %q, %v", told, err)
	}
}

func TestConnectPodsRefusesAnUnknownConfiguration(t *testing.T) {
	t.Parallel()
	for _, conf := range []string{"{", `{"plugins":[{"type":"ptp"}]}`} {
		if told, err := connected(t, conf); err == nil || told != "" {
			t.Errorf("%s: nodes were told %q, %v", conf, told, err)
		}
	}
}
