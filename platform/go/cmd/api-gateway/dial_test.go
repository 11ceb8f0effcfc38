package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A Service's address may lead to another Pod with each request.
func TestEachRequestHasItsOwnConnection(t *testing.T) {
	t.Parallel()
	connections := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { connections[r.RemoteAddr] = true }))
	defer server.Close()
	client := agentClient()
	for range 3 {
		res, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, res.Body); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if len(connections) != 3 {
		t.Errorf("3 requests over %d connections", len(connections))
	}
}

func TestServicesAreLookedUpByTheirFullName(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"uva.uva.svc.cluster.local:8080": "uva.uva.svc.cluster.local.:8080",
		"127.0.0.1:8080":                 "127.0.0.1:8080",
		"[::1]:8080":                     "[::1]:8080",
		"agent.example:8080":             "agent.example:8080",
	} {
		if got := absolute(address); got != want {
			t.Errorf("absolute(%s) = %s, want %s", address, got, want)
		}
	}
}

func TestPatientDialWaitsForAListener(t *testing.T) {
	t.Parallel()
	reserved, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := reserved.Addr().String()
	reserved.Close()
	opened := make(chan net.Listener, 1)
	time.AfterFunc(3*dialPause, func() {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
		}
		opened <- l
	})
	conn, err := patientDial(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if l := <-opened; l != nil {
		l.Close()
	}
}

// An agent that is restarted breaks the connections of requests that it hasn't answered.
func TestAgentThatEndsIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	agent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer agent.Close()
	g := newGateway(nil, nil, agentClient())
	_, _, err := g.call(t.Context(), agent.URL, "1234", []byte("{}"))
	if err == nil || !strings.Contains(err.Error(), "the agent ended before it answered") || asked.Load() != 1 {
		t.Errorf("call = %v after %d requests, want that the agent ended, after one", err, asked.Load())
	}
}
