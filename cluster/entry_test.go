package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ host, path, want string }{
		{"uva.uva.localhost:8080", "/agent/v1/x", "uva/uva"},
		{"UVA.uva.localhost", "/", "uva/uva"},
		{"orchestrator.orchestrator.svc.cluster.local", "/api/v1/policy", "orchestrator/orchestrator"},
		{"policy-enforcer.orchestrator.localhost:1", "/", "orchestrator/policy-enforcer"},
		{"localhost:8080", "/api/v1/requestApproval", "api-gateway/api-gateway"},
		{"127.0.0.1:8080", "/api/v1/", "api-gateway/api-gateway"},
		{"localhost", "/", ""},
		{"localhost", "/api/v2/x", ""},
		{"example.com", "/api/v1/x", ""},
		{"uva.uva.localhost.example.com", "/", ""},
		{"localhost.example.com", "/api/v1/x", ""},
		{"uva.localhost", "/", ""},
		{"a.b.c.localhost", "/", ""},
		{".b.localhost", "/", ""},
		{"[::1]:8080", "/api/v1/x", ""},
		{"", "/api/v1/x", ""},
	} {
		got, err := route(tc.host, tc.path)
		switch {
		case tc.want == "" && err == nil:
			t.Errorf("%q %s: got %v, want it refused", tc.host, tc.path, got)
		case tc.want != "" && (err != nil || got.namespace+"/"+got.service != tc.want):
			t.Errorf("%q %s: got %v, %v, want %s", tc.host, tc.path, got, err, tc.want)
		}
	}
}

// dialFunc is a Dialer that leads to servers of the test.
type dialFunc func(ctx context.Context, namespace, service string) (net.Conn, error)

func (f dialFunc) DialService(ctx context.Context, namespace, service string, _ int) (net.Conn, error) {
	return f(ctx, namespace, service)
}

func TestEntry(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Host, r.URL.Path, b)
	}))
	defer backend.Close()
	ctx, cancel := context.WithCancel(context.Background())
	dials := 0
	e, err := Listen(ctx, 0, dialFunc(func(ctx context.Context, namespace, service string) (net.Conn, error) {
		dials++
		if service == "down" {
			return nil, errors.New("none of its Pods is ready")
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", backend.Listener.Addr().String())
	}))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- e.Serve(ctx) }()

	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	do := func(host, path, body string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s", e.Port(), path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for _, tc := range []struct {
		host, path string
		status     int
		answer     string
	}{
		{"uva.uva.localhost", "/agent/v1/x", 200, "uva.uva.svc.cluster.local /agent/v1/x question"},
		{"localhost", "/api/v1/x", 200, "api-gateway.api-gateway.svc.cluster.local /api/v1/x question"},
		{"down.uva.localhost", "/", 502, "dynsandbox: service down in namespace uva: none of its Pods is ready\n"},
		{"evil.example", "/api/v1/x", 421, "dynsandbox: " + errHost.Error() + "\n"},
	} {
		if status, answer := do(tc.host, tc.path, "question"); status != tc.status || answer != tc.answer {
			t.Errorf("%s%s: got %d %q, want %d %q", tc.host, tc.path, status, answer, tc.status, tc.answer)
		}
	}
	before := dials
	do("uva.uva.localhost", "/", "")
	do("uva.uva.localhost", "/", "")
	if dials != before+2 {
		t.Errorf("two requests made %d dials, want 2: Pods are looked up anew each time", dials-before)
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestReadyPod(t *testing.T) {
	t.Parallel()
	yes, no, http := true, false, "http"
	port := int32(8080)
	slice := func(ready *bool) discoveryv1.EndpointSlice {
		return discoveryv1.EndpointSlice{
			Ports: []discoveryv1.EndpointPort{{Name: &http, Port: &port}},
			Endpoints: []discoveryv1.Endpoint{{
				TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "p"}, Conditions: discoveryv1.EndpointConditions{Ready: ready},
			}},
		}
	}
	for name, tc := range map[string]struct {
		slices []discoveryv1.EndpointSlice
		port   string
		err    string
	}{
		"ready":           {slices: []discoveryv1.EndpointSlice{slice(&no), slice(&yes)}, port: "http"},
		"unknown is fine": {slices: []discoveryv1.EndpointSlice{slice(nil)}, port: "http"},
		"not ready":       {slices: []discoveryv1.EndpointSlice{slice(&no)}, port: "http", err: "none of its Pods is ready"},
		"another port":    {slices: []discoveryv1.EndpointSlice{slice(&yes)}, port: "grpc", err: "none of its Pods is ready"},
		"no endpoints":    {port: "http", err: "it has no Pods"},
	} {
		pod, number, err := readyPod(tc.slices, tc.port)
		switch {
		case tc.err != "":
			if err == nil || err.Error() != tc.err {
				t.Errorf("%s: got %v, want error %q", name, err, tc.err)
			}
		case err != nil || pod != "p" || number != 8080:
			t.Errorf("%s: got %s:%d, %v", name, pod, number, err)
		}
	}
}
