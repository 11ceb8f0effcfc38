package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

var _ Dialer = (*Client)(nil)

// DialService connects to a ready Pod behind a Service, through the API server: no port of the node is published,
// and it works the same on every system. The Service is looked up anew at every call. port is one of the
// Service's; 0: its first.
func (c *Client) DialService(ctx context.Context, namespace, service string, port int) (net.Conn, error) {
	svc, err := c.Clientset.CoreV1().Services(namespace).Get(ctx, service, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	portName, err := servicePort(svc, port)
	if err != nil {
		return nil, err
	}
	slices, err := c.Clientset.DiscoveryV1().EndpointSlices(namespace).List(ctx,
		metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + service})
	if err != nil {
		return nil, err
	}
	pod, number, err := readyPod(slices.Items, portName)
	if err != nil {
		return nil, err
	}
	return c.dialPod(ctx, namespace, pod, number)
}

// servicePort returns the name under which EndpointSlices know a Service's port.
func servicePort(svc *corev1.Service, port int) (string, error) {
	for _, p := range svc.Spec.Ports {
		if port == 0 || int(p.Port) == port {
			return p.Name, nil
		}
	}
	return "", fmt.Errorf("it has no port %d", port)
}

// readyPod chooses the first ready Pod that serves the port of that name, and its number there.
func readyPod(slices []discoveryv1.EndpointSlice, portName string) (pod string, number int, err error) {
	known := 0
	for _, s := range slices {
		number := 0
		for _, p := range s.Ports {
			if p.Port != nil && (p.Name == nil && portName == "" || p.Name != nil && *p.Name == portName) {
				number = int(*p.Port)
			}
		}
		for _, e := range s.Endpoints {
			known++
			if number > 0 && e.TargetRef != nil && e.TargetRef.Kind == "Pod" && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				return e.TargetRef.Name, number, nil
			}
		}
	}
	if known == 0 {
		return "", 0, errors.New("it has no Pods")
	}
	return "", 0, errors.New("none of its Pods is ready")
}

// dialPod connects to a port of a Pod through the API server.
func (c *Client) dialPod(ctx context.Context, namespace, pod string, port int) (net.Conn, error) {
	dialer, err := c.podDialer(namespace, pod)
	if err != nil {
		return nil, err
	}
	conn, _, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		return nil, fmt.Errorf("open port-forward to Pod %s: %w", pod, err)
	}
	if err := ctx.Err(); err != nil {
		conn.Close()
		return nil, err
	}
	headers := http.Header{}
	headers.Set(corev1.PortHeader, strconv.Itoa(port))
	headers.Set(corev1.PortForwardRequestIDHeader, "0")
	headers.Set(corev1.StreamType, corev1.StreamTypeError)
	errs, err := conn.CreateStream(headers)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open port-forward to Pod %s: %w", pod, err)
	}
	errs.Close() // nothing is ever sent on it
	headers.Set(corev1.StreamType, corev1.StreamTypeData)
	data, err := conn.CreateStream(headers)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("open port-forward to Pod %s: %w", pod, err)
	}
	fc := &forwarded{Stream: data, conn: conn, pod: pod, port: port, failed: make(chan struct{})}
	go fc.watch(errs)
	return fc, nil
}

// podDialer speaks WebSocket, and SPDY to an API server (or a proxy before it) that doesn't.
func (c *Client) podDialer(namespace, pod string) (httpstream.Dialer, error) {
	url := c.Clientset.CoreV1().RESTClient().Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(c.Config)
	if err != nil {
		return nil, fmt.Errorf("prepare port-forward: %w", err)
	}
	overSPDY := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	overWebSocket, err := portforward.NewSPDYOverWebsocketDialer(url, c.Config)
	if err != nil {
		return nil, fmt.Errorf("prepare port-forward: %w", err)
	}
	return portforward.NewFallbackDialer(overWebSocket, overSPDY, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// forwarded is one forwarded connection. What the kubelet says about it (nobody listens there) arrives on a stream
// of its own and ends the connection with that error.
type forwarded struct {
	httpstream.Stream
	conn   httpstream.Connection
	pod    string
	port   int
	once   sync.Once
	fault  atomic.Pointer[error]
	failed chan struct{}
}

func (f *forwarded) watch(errs io.Reader) {
	defer close(f.failed)
	said, err := io.ReadAll(errs)
	if err == nil && len(said) > 0 {
		e := fmt.Errorf("port %d of Pod %s: %s", f.port, f.pod, lastClause(string(said)))
		f.fault.Store(&e)
		f.Close()
	}
}

// lastClause shortens the kubelet's message, which names sandbox ids and network namespaces, to what went wrong.
func lastClause(s string) string {
	s = oneLine(s)
	if i := strings.LastIndex(s, ": "); i >= 0 && strings.Contains(s, "connection refused") {
		return "connection refused"
	}
	return s
}

func (f *forwarded) Read(b []byte) (int, error) {
	n, err := f.Stream.Read(b)
	if err != nil && n == 0 {
		// The reason may be a moment behind the end that it caused.
		select {
		case <-f.failed:
		case <-time.After(200 * time.Millisecond):
		}
		if e := f.fault.Load(); e != nil {
			return 0, *e
		}
	}
	return n, err
}

func (f *forwarded) Close() error {
	var err error
	f.once.Do(func() {
		err = errors.Join(f.Stream.Reset(), f.conn.Close())
	})
	return err
}

// The stream has neither addresses nor deadlines; HTTP's own time-outs work by closing the connection.
func (f *forwarded) LocalAddr() net.Addr              { return podAddr(f.pod) }
func (f *forwarded) RemoteAddr() net.Addr             { return podAddr(f.pod) }
func (f *forwarded) SetDeadline(time.Time) error      { return nil }
func (f *forwarded) SetReadDeadline(time.Time) error  { return nil }
func (f *forwarded) SetWriteDeadline(time.Time) error { return nil }

type podAddr string

func (podAddr) Network() string  { return "portforward" }
func (a podAddr) String() string { return string(a) }
