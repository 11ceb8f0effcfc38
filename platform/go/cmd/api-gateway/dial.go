package main

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"
)

// How long the gateway tries to connect to an agent, and how often. A Service that was just made, or whose Pod was
// just replaced, refuses connections for a moment until every node has heard of it. Nothing of the request has been
// sent by then, so that trying again is safe.
const (
	dialPatience = 5 * time.Second
	dialPause    = 50 * time.Millisecond
)

// agentClient is the HTTP client for requests to agents. Each request has a connection of its own: one that is kept leads to
// the Pod that had the Service's address when it was made, and after a restart of the node that can be another service's.
func agentClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = patientDial
	transport.DisableKeepAlives = true
	return &http.Client{Transport: transport}
}

// absolute spells a Service's full name so that it is looked up as it is: without the dot at its end, each of the Pod's
// search domains would be asked for it before.
func absolute(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || !strings.HasSuffix(host, ".svc.cluster.local") {
		return address
	}
	return net.JoinHostPort(host+".", port)
}

// patientDial connects, and on failure tries again until ctx ends or dialPatience is over.
func patientDial(ctx context.Context, network, address string) (net.Conn, error) {
	address = absolute(address)
	deadline := time.Now().Add(dialPatience)
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, network, address)
		if err == nil || time.Now().After(deadline) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(dialPause):
		}
	}
}
