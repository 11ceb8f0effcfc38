package chain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

const (
	// sidecarPatience is how long a service goes on without its sidecar. A sidecar whose part is done is not started
	// again; a service that was started again after it would wait until the Job's deadline. Cold Pods on a busy
	// machine take a part of this time to start.
	sidecarPatience = 60 * time.Second
	// sidecarPause keeps a sidecar that comes and goes from being asked all the time.
	sidecarPause = 50 * time.Millisecond
)

var errSidecarAway = errors.New("the sidecar does not serve")

// followSidecar has the sidecar consume the Job's queue, each time it starts, if this is the first service. It returns
// nil when the sidecar announces its end, stays away, or ctx ends; an error if it can't consume.
func (r *run) followSidecar(ctx context.Context) error {
	for {
		over, err := r.sidecarLife(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errSidecarAway):
			slog.WarnContext(ctx, "the sidecar is away, and this service ends", "after", r.patience)
			return nil
		case over && err == nil:
			slog.InfoContext(ctx, "the sidecar ends, and so does this service")
			return nil
		case over:
			return err
		}
		slog.WarnContext(ctx, "sidecar lost, waiting for it", "error", err)
		select {
		case <-time.After(sidecarPause):
		case <-ctx.Done():
		}
	}
}

// sidecarLife follows one life of the sidecar. It is over when the sidecar won't come again, or refuses.
func (r *run) sidecarLife(ctx context.Context) (over bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begun := make(chan error, 1)
	go func() {
		err := r.begin(ctx)
		begun <- err
		if err != nil {
			cancel()
		}
	}()
	ended := rpc.WatchEnding(ctx, r.sidecar)
	broke := ctx.Err() == nil // by itself, not because of begin
	cancel()
	err = <-begun
	switch {
	case ended:
		return true, nil
	case broke, status.Code(err) == codes.Unavailable:
		return false, nil
	default:
		return true, err
	}
}

// begin waits for the sidecar, and the first service has it consume the Job's queue; for that the sidecar waits for
// the broker.
func (r *run) begin(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	if err := rpc.WaitServing(starting, r.sidecar); err != nil {
		if starting.Err() != nil {
			return errSidecarAway
		}
		return fmt.Errorf("wait for the sidecar: %w", err)
	}
	if !r.place.First {
		return nil
	}
	r.forget()
	_, err := pb.NewRabbitMQClient(r.sidecar).InitRabbitForChain(ctx, &pb.ChainRequest{
		ServiceName: r.service.Name,
		RoutingKey:  r.place.Queue,
		Port:        uint32(r.place.Port),
	})
	if err != nil {
		return fmt.Errorf("consume queue %s: %w", r.place.Queue, err)
	}
	return nil
}

// forget drops what arrived from the sidecar's former life and is not complete: it comes again.
func (r *run) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrived = nil
}
