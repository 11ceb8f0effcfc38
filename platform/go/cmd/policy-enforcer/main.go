// Policy-enforcer decides which data providers of a request may take part: it holds the request against their
// agreements in the config store and answers the orchestrator. Begin reading at [enforcer.validate].
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

const queue = "policyEnforcer-in"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(logging.New("policy-enforcer"))
	if err := run(ctx); err != nil {
		slog.Error("policy enforcer failed", "error", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	defer trace.Begin("policy-enforcer")()
	store, err := etcd.Connect(ctx, etcd.Endpoints)
	if err != nil {
		return err
	}
	defer store.Close()
	sidecar, err := service.DialSidecar()
	if err != nil {
		return err
	}
	enforcer := &enforcer{store: store, sidecar: sidecar}
	s := &service.Service{Queue: queue, Sidecar: sidecar, Handlers: enforcer.handlers()}
	if err := s.Run(ctx); err != nil {
		return fmt.Errorf("serve %s: %w", queue, err)
	}
	return nil
}
