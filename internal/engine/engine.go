// Package engine reaches the local Docker engine.
//
// It is the only place that knows which client library is used, so that its successor
// (github.com/moby/moby/client) can take its place in one file.
package engine

import (
	"context"
	"fmt"

	"github.com/docker/docker/client"
)

// Labels that everything we create in the engine carries: `down --purge` finds what is ours by them, without a record.
const (
	LabelSandbox = "dev.dynsandbox.sandbox" // the sandbox's name; on containers, networks, volumes
	LabelRole    = "dev.dynsandbox.role"    // "broker", "network", "stand-in", "node-image", ...
)

// Connect returns a client for the engine that DOCKER_HOST (or the default socket) names, and checks that it answers.
func Connect(ctx context.Context) (*client.Client, error) {
	c, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, fmt.Errorf("create docker client: %w", err)
	}
	if _, err := c.Ping(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("reach the docker engine: %w", err)
	}
	return c, nil
}
