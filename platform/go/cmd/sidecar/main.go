// Sidecar speaks AMQP for the main container of a Pod, or for a Job's chain of services: it is a gRPC server beside
// them that declares queues, sends messages to the broker, and hands over those that arrive.
//
// Begin reading at [server], then [server.Consume] for long-running services and [job] for chains. Everything that
// goes to the broker passes [server.send]; the broker itself is behind the interface [broker].
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const (
	// The dot at the end: without it each of the Pod's search domains would be asked for the name before.
	brokerAddress = "rabbitmq.core.svc.cluster.local.:5672"
	defaultPort   = 50051
	// drain is what pending sends get when the sidecar is told to end. It is more than a send to a queue that is
	// there takes, and less than the grace period of the long-running Pods, which is 5 s.
	drain = 3 * time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	port := flag.Int("port", defaultPort, "gRPC `port` to listen on")
	flag.Parse()
	slog.SetDefault(logging.New("sidecar"))
	if err := run(ctx, *port); err != nil {
		slog.Error("sidecar failed", "error", err)
		os.Exit(1)
	}
}

// run serves until a chain says that it is done or ctx ends.
func run(ctx context.Context, port int) error {
	defer trace.Begin("sidecar")()
	// All interfaces: probes come from outside the Pod's network namespace.
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	s := newServer(dialAMQP(brokerAddress, os.Getenv("AMQ_USER"), os.Getenv("AMQ_PASSWORD")))
	s.job.temporary = os.Getenv("TEMPORARY_JOB") != ""
	return s.serve(ctx, listener)
}

// serve answers calls until [server.stop] or ctx's end. It then stops consuming at once, lets pending sends finish,
// and returns nil, or errUnanswered; what was consumed but not answered goes back to its queue.
func (s *server) serve(ctx context.Context, listener net.Listener) error {
	grpcServer, health := rpc.NewServer()
	s.register(grpcServer)
	served := make(chan error, 1)
	go func() { served <- grpcServer.Serve(listener) }()
	connecting, cancel := context.WithCancel(ctx)
	defer cancel()
	go s.link.prepare(connecting)
	slog.InfoContext(ctx, "started", "address", listener.Addr().String())
	var err error
	select {
	case <-ctx.Done():
		s.job.endWithPod()
	case <-s.stopped:
	case err = <-served:
		err = fmt.Errorf("serve: %w", err)
	}
	s.stop() // for those that don't know of ctx
	cancel()
	slog.InfoContext(ctx, "ending")
	health.Ending()
	s.job.end()
	rpc.Stop(ctx, grpcServer, drain)
	s.job.close()
	s.link.close()
	return errors.Join(err, s.job.outcome())
}
