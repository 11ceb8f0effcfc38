// Orchestrator seeds the config store from the launch files, and turns a validated request into work: it chooses an
// archetype, tells each agent its part, and tells the gateway whom to call. Begin reading at [orchestrator.compose].
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const (
	queue = "orchestrator-in"
	// launchFiles is where the claim with the launch files is mounted.
	launchFiles = "/app/etcd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(logging.New("orchestrator"))
	if err := run(ctx); err != nil {
		slog.Error("orchestrator failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	defer trace.Begin("orchestrator")()
	store, err := etcd.Connect(ctx, etcd.Endpoints)
	if err != nil {
		return err
	}
	defer store.Close()
	files := os.DirFS(launchFiles)
	if err := seedWhenThere(ctx, store, files); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("seed the config store: %w", err)
	}
	sidecar, err := service.DialSidecar()
	if err != nil {
		return err
	}
	o := &orchestrator{store: store, sidecar: sidecar}
	s := &service.Service{Queue: queue, Sidecar: sidecar, Handlers: o.handlers(), HTTP: o.routes(files)}
	if err := s.Run(ctx); err != nil {
		return fmt.Errorf("serve %s: %w", queue, err)
	}
	return nil
}
