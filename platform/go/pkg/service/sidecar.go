package service

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/grpc"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// Sidecar is the process beside each main container that speaks AMQP for it. Tests put a fake here.
type Sidecar interface {
	pb.RabbitMQClient
	// Serving returns as soon as the sidecar answers, or ctx's error.
	Serving(ctx context.Context) error
	// Ending returns true when the sidecar announces its end, and false when it goes away without, or ctx ends.
	Ending(ctx context.Context) bool
}

type sidecar struct {
	pb.RabbitMQClient
	conn *grpc.ClientConn
}

// DialSidecar makes a client for the Pod's sidecar. It doesn't wait for it: [Service.Run] does.
func DialSidecar() (Sidecar, error) {
	conn, err := rpc.Dial(rpc.Local(SidecarPort))
	if err != nil {
		return nil, fmt.Errorf("dial sidecar: %w", err)
	}
	return sidecar{pb.NewRabbitMQClient(conn), conn}, nil
}

func (s sidecar) Serving(ctx context.Context) error { return rpc.WaitServing(ctx, s.conn) }
func (s sidecar) Ending(ctx context.Context) bool   { return rpc.WatchEnding(ctx, s.conn) }

// stopTimeout bounds telling the sidecar to end, which may have ended already.
const stopTimeout = time.Second

// endsTogether ends the service when its sidecar announces its end. Main container and sidecar are restarted together,
// one after the other: so the second is gone by the time that it is told to end.
func (s *Service) endsTogether(ctx context.Context, end func()) {
	for ctx.Err() == nil {
		if s.Sidecar.Serving(ctx) == nil && s.Sidecar.Ending(ctx) {
			slog.InfoContext(ctx, "the sidecar ends, and so does this service")
			end()
			return
		}
		select {
		case <-time.After(reconnectPause):
		case <-ctx.Done():
		}
	}
}

// endSidecar is the same the other way round.
func (s *Service) endSidecar(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if _, err := s.Sidecar.StopReceivingRabbit(ctx, &pb.StopRequest{}, grpc.WaitForReady(false)); err != nil {
		slog.DebugContext(ctx, "sidecar not told to end", "error", err)
	}
}
