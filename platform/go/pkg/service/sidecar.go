package service

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// Sidecar is the process beside each main container that speaks AMQP for it. Tests put a fake here.
type Sidecar interface {
	pb.RabbitMQClient
	// Serving returns as soon as the sidecar answers, or ctx's error.
	Serving(ctx context.Context) error
}

type sidecar struct {
	pb.RabbitMQClient
	conn *grpc.ClientConn
}

// DialSidecar makes a client for the Pod's sidecar. It doesn't wait for it: [Service.Run] does.
func DialSidecar() (Sidecar, error) {
	conn, err := rpc.Dial(SidecarAddress)
	if err != nil {
		return nil, fmt.Errorf("dial sidecar: %w", err)
	}
	return sidecar{pb.NewRabbitMQClient(conn), conn}, nil
}

func (s sidecar) Serving(ctx context.Context) error { return rpc.WaitServing(ctx, s.conn) }
