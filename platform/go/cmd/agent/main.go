// Agent is a party of the platform: a data steward, or a trusted third party. It keeps what it was told to do for
// each approved job, answers data requests over HTTP by running the job's chain of services as a Kubernetes Job, and
// passes messages between the chain, other agents and the waiting request.
//
// Begin reading at [agent.serveData], a data request; [agent.compose] is what precedes it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	batchv1 "k8s.io/client-go/kubernetes/typed/batch/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/limits"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// onlineLease is how long an agent counts as online after its last sign of life.
const onlineLease = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	name := os.Getenv("DATA_STEWARD_NAME")
	slog.SetDefault(logging.New("agent").With("agent", name))
	if err := run(ctx, name); err != nil {
		slog.Error("agent failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, name string) error {
	defer trace.Begin("agent")()
	if name == "" {
		return errors.New("DATA_STEWARD_NAME is not set")
	}
	timeout, err := limits.Request(os.Getenv)
	if err != nil {
		return err
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	config.ContentType = "application/vnd.kubernetes.protobuf"
	batch, err := batchv1.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make cluster client: %w", err)
	}
	core, err := corev1.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make cluster client: %w", err)
	}
	store, err := etcd.Connect(ctx, etcd.Endpoints)
	if err != nil {
		return err
	}
	defer store.Close()
	sidecar, err := service.DialSidecar()
	if err != nil {
		return err
	}
	namespace := strings.ToLower(name)
	a := newAgent(name, store, sidecar, batch.Jobs(namespace), core.Pods(namespace), imagesFromEnv(os.Getenv))
	a.timeout = timeout
	a.spans = spanVariables(os.Environ())
	s := &service.Service{
		Queue:    a.queue,
		Sidecar:  sidecar,
		Handlers: a.handlers(),
		HTTP:     a.routes(),
		Settle:   a.exchanges.settle,
		Beside: []func(context.Context) error{
			a.expireQueues,
			a.watchPods,
			func(ctx context.Context) error {
				record, err := a.onlineRecord(time.Now().UTC())
				if err != nil {
					return err
				}
				return store.Register(ctx, record, onlineLease)
			},
		},
	}
	if err := s.Run(ctx); err != nil {
		return fmt.Errorf("serve %s: %w", a.queue, err)
	}
	return nil
}

// onlineRecord is what the agent tells of itself while it runs.
func (a *agent) onlineRecord(since time.Time) (etcd.Entry, error) {
	value, err := json.Marshal(etcd.Agent{
		Name:          a.name,
		ActiveSince:   since,
		ConfigUpdated: since,
		RoutingKey:    a.queue,
		DNS:           a.namespace + "." + a.namespace + ".svc.cluster.local",
	})
	if err != nil {
		return etcd.Entry{}, fmt.Errorf("encode agent: %w", err)
	}
	return etcd.Entry{Key: etcd.OnlineKey(a.name), Value: value}, nil
}
