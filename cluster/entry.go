package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"time"
)

// Dialer reaches a ready Pod of a Service; [Client] is one.
type Dialer interface {
	// DialService connects to port (0: the Service's first) of a Pod that is ready now.
	DialService(ctx context.Context, namespace, service string, port int) (net.Conn, error)
}

// Entry is the sandbox's way in for HTTP: one listener on the loopback that leads by Host header to the Services in
// the cluster, as an ingress would:
//
//	http://SERVICE.NAMESPACE.localhost:PORT/...           the Service's first port
//	http://SERVICE.NAMESPACE.svc.cluster.local:PORT/...   the same, for a client with that header
//	http://localhost:PORT/api/v1/...                      the platform's gateway
//
// Any other Host is refused: a page in a browser can make its own name point to 127.0.0.1, and would then speak
// to the sandbox.
type Entry struct {
	listener net.Listener
	server   *http.Server
}

// gateway is where requests to plain localhost go.
var gateway = target{"api-gateway", "api-gateway"}

// gatewayPrefix is the part of localhost's paths that is the gateway's.
const gatewayPrefix = "/api/v1/"

// Listen opens the entry on 127.0.0.1:port; port 0 takes a free one. Call [Entry.Serve] next.
func Listen(ctx context.Context, port int, dialer Dialer) (*Entry, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("open the HTTP entry: %w", err)
	}
	return &Entry{listener: l, server: &http.Server{Handler: newProxy(dialer), ReadHeaderTimeout: 10 * time.Second}}, nil
}

// Port is the port on which the entry listens.
func (e *Entry) Port() int { return e.listener.Addr().(*net.TCPAddr).Port }

// URL returns the address of a Service, for people.
func (e *Entry) URL(namespace, service string) string {
	return fmt.Sprintf("http://%s.%s.localhost:%d", service, namespace, e.Port())
}

// Serve answers until ctx ends, then gives requests under way five seconds.
func (e *Entry) Serve(ctx context.Context) error {
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := e.server.Shutdown(grace)
		if err != nil {
			err = e.server.Close()
		}
		closed <- err
	})
	err := e.server.Serve(e.listener)
	if stop() { // it ended by itself
		return fmt.Errorf("serve the HTTP entry: %w", err)
	}
	return <-closed
}

type target struct{ namespace, service string }

// errHost is the answer to a Host that leads nowhere.
var errHost = errors.New("unknown host: use SERVICE.NAMESPACE.localhost, or localhost with a path that begins with " + gatewayPrefix)

// route finds the Service that a request is for.
func route(host, path string) (target, error) {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if name == "localhost" || name == "127.0.0.1" {
		if strings.HasPrefix(path, gatewayPrefix) {
			return gateway, nil
		}
		return target{}, errHost
	}
	for _, suffix := range []string{".localhost", ".svc.cluster.local"} {
		if rest, ok := strings.CutSuffix(name, suffix); ok {
			if service, namespace, ok := strings.Cut(rest, "."); ok && service != "" && namespace != "" && !strings.Contains(namespace, ".") {
				return target{namespace, service}, nil
			}
		}
	}
	return target{}, errHost
}

// routeKey carries a request's target from the handler to the transport's dial.
type routeKey struct{}

func newProxy(dialer Dialer) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			t := r.In.Context().Value(routeKey{}).(target)
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = t.service + "." + t.namespace + ".svc.cluster.local"
			r.Out.Host = r.Out.URL.Host // what the platform's own ingress rules name
			r.SetXForwarded()
		},
		Transport: &http.Transport{
			// One connection a request: a kept one leads to a Pod that may have been replaced meanwhile, and a POST
			// that finds it dead is not repeated.
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				t := ctx.Value(routeKey{}).(target)
				return dialer.DialService(ctx, t.namespace, t.service, 0)
			},
		},
		FlushInterval: -1, // answers may be streams
		ErrorLog:      slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the client has gone
			}
			t := r.Context().Value(routeKey{}).(target)
			http.Error(w, fmt.Sprintf("dynsandbox: service %s in namespace %s: %v", t.service, t.namespace, err), http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := route(r.Host, r.URL.Path)
		if err != nil {
			http.Error(w, "dynsandbox: "+err.Error(), http.StatusMisdirectedRequest)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), routeKey{}, t)))
	})
}
