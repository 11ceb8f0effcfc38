package chain

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

const (
	// drain is what calls under way get when the service ends. They only have to return.
	drain = 2 * time.Second
	// stopTimeout bounds telling the sidecar to end, which may have ended already.
	stopTimeout = 2 * time.Second
)

// run is one life of a service.
type run struct {
	pb.UnimplementedMicroserviceServer

	service  *Service
	place    Place
	patience time.Duration
	next     *grpc.ClientConn // the sidecar's for the last service
	sidecar  *grpc.ClientConn

	mu      sync.Mutex
	arrived []*pb.MicroserviceCommunication
	full    bool // all messages have arrived: no further one is taken
	broken  bool // the rest of the chain was left out

	done     chan struct{} // closed when the message has been handed on
	doneOnce sync.Once
}

// Run takes the service's place in its chain and returns nil when it has handed on its message, when the sidecar
// ends or stays away, or when ctx ends. It returns an error if the port is taken or the sidecar can't consume the Job's queue.
func (s *Service) Run(ctx context.Context, place Place) error {
	sidecar, err := rpc.Dial(rpc.Local(place.SidecarPort))
	if err != nil {
		return err
	}
	defer sidecar.Close()
	next := sidecar
	if !place.Last {
		if next, err = rpc.Dial(rpc.Local(place.next())); err != nil {
			return err
		}
		defer next.Close()
		next.Connect()
	}
	sidecar.Connect()
	r := &run{service: s, place: place, next: next, sidecar: sidecar, done: make(chan struct{}), patience: sidecarPatience}
	if s.patience > 0 {
		r.patience = s.patience
	}

	server, health := rpc.NewServer()
	pb.RegisterMicroserviceServer(server, r)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", rpc.Local(place.Port))
	if err != nil {
		return fmt.Errorf("serve %s: %w", s.Name, err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	slog.InfoContext(ctx, "started", "port", place.Port, "first", place.First, "last", place.Last, "queue", place.Queue)

	err = r.wait(ctx, served)
	health.Ending()
	rpc.Stop(ctx, server, drain)
	if r.endsSidecar() {
		r.stopSidecar(ctx)
	}
	return err
}

// wait returns when nothing is left to do.
func (r *run) wait(ctx context.Context, served <-chan error) error {
	ctx, cancel := context.WithCancel(ctx)
	var following sync.WaitGroup
	defer following.Wait()
	defer cancel()
	over := make(chan error, 1)
	following.Go(func() { over <- r.followSidecar(ctx) })
	select {
	case err := <-over:
		return err
	case err := <-served:
		return fmt.Errorf("serve %s: %w", r.service.Name, err)
	case <-r.done:
		return nil
	case <-ctx.Done():
		return nil
	}
}

// endsSidecar says whether it is up to this service to end the sidecar: it is the last one, or left the others out.
func (r *run) endsSidecar() bool {
	select {
	case <-r.done:
	default:
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.place.Last || r.broken
}

func (r *run) stopSidecar(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	client := pb.NewRabbitMQClient(r.sidecar)
	if _, err := client.StopReceivingRabbit(ctx, &pb.StopRequest{}, grpc.WaitForReady(false)); err != nil {
		slog.WarnContext(ctx, "sidecar not told to end", "error", err)
	}
}
