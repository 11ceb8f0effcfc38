package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// NewServer makes a server that answers health checks, of dynamos.Health and of grpc.health.v1, which Kubernetes
// probes speak. It serves from the start; [Health.Ending] announces its end.
func NewServer() (*grpc.Server, *Health) {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.UnaryInterceptor(takeTraceUnary),
		grpc.StreamInterceptor(takeTraceStream),
	)
	health := newHealth()
	pb.RegisterHealthServer(server, health)
	healthpb.RegisterHealthServer(server, health.standard)
	return server, health
}

// Stop ends server: it takes no further calls, and those that run have grace to end by themselves.
func Stop(ctx context.Context, server *grpc.Server, grace time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		server.GracefulStop()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		server.Stop()
		<-ended
	}
}
