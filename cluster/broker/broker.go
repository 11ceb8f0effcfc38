// Package broker runs a sandbox's RabbitMQ: one container beside the cluster, on the sandbox's network, at an
// address that stays the same. It outlives the process that starts it.
//
// Call [Ensure]; then [Consumers] says who reads which queue. [Remove] needs no more than the sandbox's name.
package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/client"
	"github.com/docker/go-connections/nat"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Config says which broker a sandbox has.
type Config struct {
	Sandbox  string
	Image    string     // an image of RabbitMQ that the engine has: rabbitmq:3-management, or one whose command is rabbitmq-server
	Network  string     // name of the sandbox's Docker network
	Address  netip.Addr // on that network, and outside the range from which the engine takes addresses
	Password string     // of [User]
}

// Broker is a running one.
type Broker struct {
	ContainerID string     `json:"containerID"`
	Address     netip.Addr `json:"address"`  // for Pods, port 5672
	HostPort    int        `json:"hostPort"` // for this host, on 127.0.0.1; another after every start
}

// ContainerName returns the name of the sandbox's broker.
func ContainerName(sandbox string) string { return "dynsandbox-" + sandbox + "-broker" }

// labelConfig tells from what a broker's container was made; Ensure makes a new one when it would differ.
const labelConfig = "dev.dynsandbox.config"

// amqpPort is AMQP's, without TLS.
const amqpPort = "5672/tcp"

// fingerprint of everything that can't be changed in a container that stands. It goes into a label that anyone
// with access to the engine reads: a digest, as the password takes part in it.
func (c Config) fingerprint(imageID string) string {
	h := sha256.New()
	for _, s := range []string{"2", imageID, c.Network, c.Address.String(), configuration, string(definitions(c.Password))} {
		fmt.Fprintf(h, "%d:%s", len(s), s)
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// Ensure returns the sandbox's broker once [User] can log in: the one that runs, the stopped one started, or a new one
// where there is none or it was made from another image, network, address or password. Its queues and messages
// survive all but the last.
//
// It gives up after three minutes with a *fault.Timeout.
func Ensure(ctx context.Context, docker client.APIClient, cfg Config) (Broker, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	image, err := docker.ImageInspect(ctx, cfg.Image)
	if err != nil {
		return Broker{}, fmt.Errorf("find broker image: %w", err)
	}
	if image.Config == nil {
		return Broker{}, fmt.Errorf("broker image %s has no configuration", cfg.Image)
	}
	want := cfg.fingerprint(image.ID)
	standing, err := docker.ContainerInspect(ctx, ContainerName(cfg.Sandbox))
	if err != nil && !errdefs.IsNotFound(err) {
		return Broker{}, fmt.Errorf("inspect broker: %w", err)
	}
	if err == nil {
		switch cfg.judge(standing, want, onNetwork(ctx, docker, standing)) {
		case foreign:
			return Broker{}, fmt.Errorf("a container named %s exists, but isn't this sandbox's", ContainerName(cfg.Sandbox))
		case unfit:
			progress.Report(ctx, progress.Update{What: "replace the broker"})
			if err := Remove(ctx, docker, cfg.Sandbox); err != nil {
				return Broker{}, err
			}
		case runs:
			return ready(ctx, docker, cfg)
		case stands:
		}
	}
	progress.Report(ctx, progress.Update{What: "start the broker"})
	began := time.Now()
	if err := run(ctx, cfg, want, imagePath(image.Config.Env)); err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return Broker{}, &fault.Timeout{WaitedFor: "the engine to start the broker", LastSeen: err.Error(), After: time.Since(began)}
		}
		return Broker{}, fmt.Errorf("start broker: %w", err)
	}
	return ready(ctx, docker, cfg)
}

// patience is how long a broker may take until it lets its user in. That is 5 s on two idle cores.
const patience = 3 * time.Minute

// imagePath returns the search path for commands that an image has. Debian's folder for RabbitMQ comes first: the
// command of the same name in /usr/sbin wraps the server in a shell that keeps signals and the log to itself.
func imagePath(env []string) string {
	path := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			path = v
		}
	}
	return "/usr/lib/rabbitmq/bin:" + path
}

// ready waits until the user can log in, which is seconds after the port opens.
func ready(ctx context.Context, docker client.APIClient, cfg Config) (Broker, error) {
	progress.Report(ctx, progress.Update{What: "wait for the broker"})
	began := time.Now()
	var last error
	for {
		info, err := docker.ContainerInspect(ctx, ContainerName(cfg.Sandbox))
		switch {
		case ctx.Err() != nil: // see below
		case err != nil:
			return Broker{}, fmt.Errorf("inspect broker: %w", err)
		case !info.State.Running:
			return Broker{}, fmt.Errorf("broker ended: %w", &fault.Exec{Argv: info.Config.Cmd, Tail: logTail(ctx, docker, info.ID),
				Err: fmt.Errorf("exit status %d", info.State.ExitCode)})
		default:
			b := Broker{ContainerID: info.ID, Address: cfg.Address, HostPort: hostPort(info)}
			if b.HostPort == 0 {
				err = errors.New("its port isn't published yet")
			} else {
				err = login(ctx, b.HostPort, cfg.Password)
			}
			if err == nil {
				return b, nil
			}
			if ctx.Err() == nil {
				last = err
			}
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				seen := ""
				if last != nil {
					seen = last.Error()
				}
				return Broker{}, &fault.Timeout{WaitedFor: "the broker to let " + User + " in", LastSeen: seen, After: time.Since(began)}
			}
			return Broker{}, fmt.Errorf("wait for broker: %w", ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func hostPort(c container.InspectResponse) int {
	for _, b := range c.NetworkSettings.Ports[nat.Port(amqpPort)] {
		if n, err := strconv.Atoi(b.HostPort); err == nil && net.ParseIP(b.HostIP).IsLoopback() {
			return n
		}
	}
	return 0
}

func logTail(ctx context.Context, docker client.APIClient, id string) string {
	r, err := docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "15"})
	if err != nil {
		return ""
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := copyLog(&out, r); err != nil {
		return ""
	}
	return fault.Tail(out.Bytes(), 15)
}

// Remove removes the sandbox's broker with its volumes. Containers without the sandbox's labels are left alone.
func Remove(ctx context.Context, docker client.APIClient, sandbox string) error {
	list, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(
		filters.Arg("label", engine.LabelSandbox+"="+sandbox), filters.Arg("label", engine.LabelRole+"="+role))})
	if err != nil {
		return fmt.Errorf("list brokers: %w", err)
	}
	for _, c := range list {
		err := docker.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove broker: %w", err)
		}
	}
	return nil
}

// role is the broker's value of engine.LabelRole.
const role = "broker"

func init() {
	// Read once, by testcontainers' first use: no reaper, whose image can't be had and which would remove what is to
	// outlive us; and where a root file system was made from an image it holds a /.dockerenv, from which
	// testcontainers concludes that published ports are at the gateway's address. They are on the loopback.
	os.Setenv("TESTCONTAINERS_RYUK_DISABLED", "true")
	os.Setenv("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
	tclog.SetDefault(tclog.NewNoopLogger()) // it prints a page about the engine
}
