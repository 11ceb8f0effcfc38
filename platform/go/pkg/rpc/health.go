package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// Health serves dynamos.Health for the whole process; the service that a request names is not looked at, because
// services of the platform name themselves in it. The messages of grpc.health.v1 are the same ones.
type Health struct {
	pb.UnimplementedHealthServer
	standard *health.Server
}

var _ pb.HealthServer = (*Health)(nil)

func newHealth() *Health { return &Health{standard: health.NewServer()} }

// Ending tells everyone who watches, and every later check, that the process is about to end (NOT_SERVING).
func (h *Health) Ending() { h.standard.Shutdown() }

// Check implements dynamos.Health.
func (h *Health) Check(ctx context.Context, _ *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	response, err := h.standard.Check(ctx, &healthpb.HealthCheckRequest{})
	if err != nil {
		return nil, err
	}
	return translate(response), nil
}

// Watch implements dynamos.Health: the present status, then each change.
func (h *Health) Watch(_ *pb.HealthCheckRequest, stream grpc.ServerStreamingServer[pb.HealthCheckResponse]) error {
	out := &translated{ServerStream: stream, out: stream}
	if err := h.standard.Watch(&healthpb.HealthCheckRequest{}, out); !out.ended {
		return err
	}
	return nil
}

// translated is the stream of the standard service as that of the platform's. It ends the watch once the end is
// announced: a watch that went on would keep the server from stopping.
type translated struct {
	grpc.ServerStream
	out   grpc.ServerStreamingServer[pb.HealthCheckResponse]
	ended bool
}

func (t *translated) Send(r *healthpb.HealthCheckResponse) error {
	if err := t.out.Send(translate(r)); err != nil {
		return err
	}
	if t.ended = r.GetStatus() == healthpb.HealthCheckResponse_NOT_SERVING; t.ended {
		return io.EOF
	}
	return nil
}

func translate(r *healthpb.HealthCheckResponse) *pb.HealthCheckResponse {
	return &pb.HealthCheckResponse{Status: pb.HealthCheckResponse_ServingStatus(r.GetStatus())}
}

// checkAgain is how long [WaitServing] waits before it asks a server that listens but doesn't serve, which is rare.
const checkAgain = 50 * time.Millisecond

// WaitServing returns as soon as the other end of conn says that it serves, by dynamos.Health. It returns ctx's
// error if that doesn't happen, joined with what the other end said last.
func WaitServing(ctx context.Context, conn *grpc.ClientConn) error {
	client := pb.NewHealthClient(conn)
	var last error
	for {
		response, err := client.Check(ctx, &pb.HealthCheckRequest{})
		switch {
		case err == nil && response.GetStatus() == pb.HealthCheckResponse_SERVING:
			return nil
		case err == nil:
			err = fmt.Errorf("it is %s", response.GetStatus())
		case status.Code(err) == codes.Unimplemented:
			return fmt.Errorf("%s has no health service: %w", conn.Target(), err)
		}
		// What was seen before time was up tells more than that it is, which a call may notice before ctx does.
		if last == nil || ctx.Err() == nil && status.Code(err) != codes.DeadlineExceeded {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", conn.Target(), errors.Join(context.Cause(ctx), last))
		case <-time.After(checkAgain):
		}
	}
}

// WatchEnding returns true when the other end of conn announces its end, and false when it goes away without, or ctx
// ends. It waits for a server that doesn't listen yet. A server without Watch never announces anything.
func WatchEnding(ctx context.Context, conn *grpc.ClientConn) bool {
	client := pb.NewHealthClient(conn)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.Watch(ctx, &pb.HealthCheckRequest{})
	if err != nil {
		return false
	}
	for {
		response, err := stream.Recv()
		if status.Code(err) == codes.Unimplemented {
			<-ctx.Done()
		}
		if err != nil {
			return false
		}
		if response.GetStatus() == pb.HealthCheckResponse_NOT_SERVING {
			return true
		}
	}
}
