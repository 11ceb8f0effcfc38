// Package engine reaches the local Docker engine, installs one and starts it.
//
// [Connect] is where everybody gets a client from, and [Setup] is `dynsandbox setup`. Those who talk to the engine
// use Docker's client library as it is.
package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/docker/docker/client"
)

// Labels that everything we create in the engine carries: `down --purge` finds what is ours by them, without a record.
const (
	LabelSandbox = "dev.dynsandbox.sandbox" // the sandbox's name; on containers, networks, volumes
	LabelRole    = "dev.dynsandbox.role"    // "broker", "network", "stand-in", "node-image", ...
	LabelOwner   = "dev.dynsandbox.owner"   // the state folder of the sandbox; on networks
)

// Connect returns a client for the engine, and checks that it answers. The engine is the one that DOCKER_HOST names; or
// that of DOCKER_CONTEXT; or the one at the default socket; or, where none answers there, that of the docker
// command's current context.
//
// kind runs the docker command, and testcontainers looks for an engine by itself: so that all three find the same,
// the one that was found is in this process's DOCKER_HOST from then on.
func Connect(ctx context.Context) (*client.Client, error) {
	if os.Getenv("DOCKER_HOST") != "" {
		return connect(ctx)
	}
	var c *client.Client
	var err error
	if os.Getenv("DOCKER_CONTEXT") == "" {
		c, err = connect(ctx)
	}
	if c == nil {
		if host := contextHost(ctx); host != "" && host != client.DefaultDockerHost {
			var here error
			if c, here = connect(ctx, client.WithHost(host)); here != nil {
				err = errors.Join(err, here)
			}
		} else if err == nil {
			c, err = connect(ctx)
		}
	}
	if c == nil {
		return nil, err
	}
	if err := os.Setenv("DOCKER_HOST", c.DaemonHost()); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := os.Unsetenv("DOCKER_CONTEXT"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func connect(ctx context.Context, more ...client.Opt) (*client.Client, error) {
	c, err := client.NewClientWithOpts(append([]client.Opt{client.FromEnv, client.WithAPIVersionNegotiation()}, more...)...)
	if err != nil {
		return nil, fmt.Errorf("create docker client: %w", err)
	}
	if _, err := c.Ping(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("reach the docker engine: %w", err)
	}
	return c, nil
}

// contextHost returns the engine of the docker command's current context; "" where there is no such command.
func contextHost(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}").Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
