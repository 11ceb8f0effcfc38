// Api-gateway is the platform's public entry. One HTTP request becomes a request for approval, by way of the broker,
// and, once that is granted, a data request to each agent that the answer names. Begin reading at
// [gateway.requestApproval].
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/limits"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const queue = "api-gateway-in"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(logging.New("api-gateway"))
	if err := run(ctx); err != nil {
		slog.Error("api gateway failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	defer trace.Begin("api-gateway")()
	agentTimeout, err := limits.Request(os.Getenv)
	if err != nil {
		return err
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
	g := newGateway(store, sidecar, agentClient())
	g.dataTimeout = agentTimeout + agentMargin
	s := &service.Service{Queue: queue, Sidecar: sidecar, Handlers: g.handlers(), HTTP: g.routes()}
	if err := s.Run(ctx); err != nil {
		return fmt.Errorf("serve %s: %w", queue, err)
	}
	return nil
}
