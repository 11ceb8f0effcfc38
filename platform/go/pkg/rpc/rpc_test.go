package rpc

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// echo answers SendData when the message has arrived, and keeps what it saw.
type echo struct {
	pb.UnimplementedMicroserviceServer
	size  int
	trace Trace
}

func (e *echo) SendData(ctx context.Context, m *pb.MicroserviceCommunication) (*pb.ContinueReceiving, error) {
	e.size = len(m.GetResult())
	e.trace, _ = TraceFrom(ctx)
	return &pb.ContinueReceiving{}, nil
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// serve serves on listener until the test ends.
func serve(t *testing.T, listener net.Listener) (*echo, *Health, *grpc.Server) {
	t.Helper()
	server, health := NewServer()
	e := &echo{}
	pb.RegisterMicroserviceServer(server, e)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return e, health, server
}

func dial(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestMessagesLargerThanTheDefaultLimit(t *testing.T) {
	t.Parallel()
	listener := listen(t, "localhost:0")
	e, _, _ := serve(t, listener)
	const size = 20 << 20
	client := pb.NewMicroserviceClient(dial(t, listener.Addr().String()))
	if _, err := client.SendData(t.Context(), &pb.MicroserviceCommunication{Result: make([]byte, size)}); err != nil {
		t.Fatal(err)
	}
	if e.size != size {
		t.Errorf("%d bytes arrived, want %d", e.size, size)
	}
}

func TestCallsCarryTheirTrace(t *testing.T) {
	t.Parallel()
	listener := listen(t, "localhost:0")
	e, _, _ := serve(t, listener)
	client := pb.NewMicroserviceClient(dial(t, listener.Addr().String()))
	if _, err := client.SendData(WithTrace(t.Context(), golden), &pb.MicroserviceCommunication{}); err != nil {
		t.Fatal(err)
	}
	if e.trace != golden {
		t.Errorf("trace %+v arrived, want %+v", e.trace, golden)
	}
	if _, err := client.SendData(t.Context(), &pb.MicroserviceCommunication{}); err != nil {
		t.Fatal(err)
	}
	if e.trace != (Trace{}) {
		t.Errorf("trace %+v arrived, want none", e.trace)
	}
}

func TestWaitServingSeesALateServerAtOnce(t *testing.T) {
	t.Parallel()
	reserved := listen(t, "localhost:0")
	address := reserved.Addr().String()
	reserved.Close()
	conn := dial(t, address)
	serving := make(chan error, 1)
	go func() { serving <- WaitServing(t.Context(), conn) }()
	conn.Connect()
	for state := conn.GetState(); state.String() != "TRANSIENT_FAILURE"; state = conn.GetState() {
		conn.WaitForStateChange(t.Context(), state) // it was refused once
	}
	begun := time.Now()
	serve(t, listen(t, address))
	if err := <-serving; err != nil {
		t.Fatal(err)
	}
	// gRPC's own back-off would be 1 s; ours is 0.1 s at most.
	if took := time.Since(begun); took > 700*time.Millisecond {
		t.Errorf("a server that came late was seen after %v", took)
	}
}

func TestWaitServingSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	listener := listen(t, "localhost:0")
	_, health, _ := serve(t, listener)
	health.Ending()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	err := WaitServing(ctx, dial(t, listener.Addr().String()))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "NOT_SERVING") {
		t.Errorf("error = %v, want the deadline's and NOT_SERVING", err)
	}
}

func TestEndingIsAnnouncedAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	listener := listen(t, "localhost:0")
	_, health, server := serve(t, listener)
	conn := dial(t, listener.Addr().String())
	if err := WaitServing(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool, 1)
	go func() { ended <- WatchEnding(t.Context(), conn) }()
	stream, err := pb.NewHealthClient(conn).Watch(t.Context(), &pb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := stream.Recv(); err != nil || r.GetStatus() != pb.HealthCheckResponse_SERVING {
		t.Fatalf("watch began with %v, %v", r, err)
	}
	health.Ending()
	begun := time.Now()
	Stop(t.Context(), server, 30*time.Second)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("the server ended after %v: a watch held it up", took)
	}
	if !<-ended {
		t.Error("WatchEnding did not hear of the end")
	}
	if r, err := stream.Recv(); err != nil || r.GetStatus() != pb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("watch went on with %v, %v, want NOT_SERVING", r, err)
	}
}

func TestStandardHealthService(t *testing.T) {
	t.Parallel()
	listener := listen(t, "localhost:0")
	serve(t, listener)
	r, err := healthpb.NewHealthClient(dial(t, listener.Addr().String())).Check(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("got %v, %v, want SERVING", r, err)
	}
}
