package broker

import (
	"bytes"
	"context"
	"io"
	"net/netip"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/pkg/stdcopy"
	mobycontainer "github.com/moby/moby/api/types/container"
	mobynetwork "github.com/moby/moby/api/types/network"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// stopSeconds is what the engine gives the broker to write its queues down when anybody stops it.
var stopSeconds = 20

var networkInspect = network.InspectOptions{}

// run makes the container if there is none of its name, and starts it if it doesn't run.
func run(ctx context.Context, cfg Config, fingerprint, path string) error {
	_, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		Reuse: true, Started: true, Logger: tclog.NewNoopLogger(),
		ContainerRequest: testcontainers.ContainerRequest{
			Name:         ContainerName(cfg.Sandbox),
			Image:        cfg.Image,
			Cmd:          []string{"rabbitmq-server"}, // the official image's own, and the stand-in's
			Env:          map[string]string{"PATH": path},
			Networks:     []string{cfg.Network},
			ExposedPorts: []string{amqpPort},
			Labels: map[string]string{
				engine.LabelSandbox: cfg.Sandbox, engine.LabelRole: role, labelConfig: fingerprint,
			},
			Files: []testcontainers.ContainerFile{
				{Reader: bytes.NewReader([]byte(configuration)), ContainerFilePath: "/etc/rabbitmq/rabbitmq.conf", FileMode: 0o644},
				{Reader: bytes.NewReader(definitions(cfg.Password)), ContainerFilePath: "/etc/rabbitmq/definitions.json", FileMode: 0o644},
			},
			ConfigModifier: func(c *mobycontainer.Config) {
				c.Hostname = "broker" // the database's folder is named after it
				c.StopTimeout = &stopSeconds
			},
			HostConfigModifier: func(h *mobycontainer.HostConfig) {
				h.PortBindings = mobynetwork.PortMap{
					mobynetwork.MustParsePort(amqpPort): {{HostIP: netip.AddrFrom4([4]byte{127, 0, 0, 1})}},
				}
			},
			EndpointSettingsModifier: func(m map[string]*mobynetwork.EndpointSettings) {
				e := m[cfg.Network]
				if e == nil {
					e = &mobynetwork.EndpointSettings{}
					m[cfg.Network] = e
				}
				e.IPAMConfig = &mobynetwork.EndpointIPAMConfig{IPv4Address: cfg.Address}
			},
		},
	})
	return err
}

// copyLog separates the two streams of a container's log, which the engine interleaves.
func copyLog(w io.Writer, r io.Reader) (int64, error) { return stdcopy.StdCopy(w, w, r) }
