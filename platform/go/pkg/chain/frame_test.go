package chain

import (
	"context"
	"net"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// sidecar is the sidecar of a Pod without a broker.
type sidecar struct {
	pb.UnimplementedRabbitMQServer
	pb.UnimplementedMicroserviceServer

	port    int
	health  *rpc.Health
	server  *grpc.Server
	begun   chan *pb.ChainRequest
	answers chan *pb.MicroserviceCommunication
	stops   chan struct{}
}

func (s *sidecar) InitRabbitForChain(_ context.Context, in *pb.ChainRequest) (*emptypb.Empty, error) {
	s.begun <- in
	return &emptypb.Empty{}, nil
}

func (s *sidecar) SendData(_ context.Context, m *pb.MicroserviceCommunication) (*pb.ContinueReceiving, error) {
	s.answers <- proto.Clone(m).(*pb.MicroserviceCommunication)
	return &pb.ContinueReceiving{}, nil
}

func (s *sidecar) StopReceivingRabbit(context.Context, *pb.StopRequest) (*emptypb.Empty, error) {
	s.stops <- struct{}{}
	return &emptypb.Empty{}, nil
}

func newSidecar(t *testing.T) *sidecar {
	t.Helper()
	s := &sidecar{
		begun:   make(chan *pb.ChainRequest, 10),
		answers: make(chan *pb.MicroserviceCommunication, 10),
		stops:   make(chan struct{}, 10),
	}
	s.serve(t)
	t.Cleanup(func() { s.server.Stop() })
	return s
}

// serve begins a life of the sidecar, at the port of the one before.
func (s *sidecar) serve(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", rpc.Local(s.port))
	if err != nil {
		t.Fatal(err)
	}
	s.port = listener.Addr().(*net.TCPAddr).Port
	s.server, s.health = rpc.NewServer()
	pb.RegisterRabbitMQServer(s.server, s)
	pb.RegisterMicroserviceServer(s.server, s)
	server := s.server
	go func() { _ = server.Serve(listener) }()
}

var portsMu sync.Mutex

// ports finds n ports in a row that nobody uses.
func ports(t *testing.T, n int) int {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 100 {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "localhost:0")
		if err != nil {
			t.Fatal(err)
		}
		first := listener.Addr().(*net.TCPAddr).Port
		listeners := []net.Listener{listener}
		for port := first + 1; port < first+n; port++ {
			if listener, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", rpc.Local(port)); err != nil {
				break
			}
			listeners = append(listeners, listener)
		}
		for _, l := range listeners {
			l.Close()
		}
		if len(listeners) == n {
			return first
		}
	}
	t.Fatal("no ports in a row")
	return 0
}

// running is a chain whose services run.
type running struct {
	*sidecar
	first pb.MicroserviceClient
	ended []chan error
}

// start runs services in the order of their chain.
func start(t *testing.T, providers int, services ...Service) *running {
	t.Helper()
	r := &running{sidecar: newSidecar(t)}
	port := ports(t, len(services))
	for i, s := range services {
		place := Place{
			Port: port + i, SidecarPort: r.port, Queue: "Jsurf1", Providers: providers,
			First: i == 0, Last: i == len(services)-1,
		}
		ended := make(chan error, 1)
		r.ended = append(r.ended, ended)
		go func() { ended <- s.Run(t.Context(), place) }()
	}
	begun := <-r.begun
	if begun.GetRoutingKey() != "Jsurf1" || int(begun.GetPort()) != port {
		t.Errorf("sidecar was asked for %v, want queue Jsurf1 and port %d", begun, port)
	}
	conn, err := rpc.Dial(rpc.Local(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	r.first = pb.NewMicroserviceClient(conn)
	return r
}

// finish waits for all services to end well.
func (r *running) finish(t *testing.T) {
	t.Helper()
	for i, ended := range r.ended {
		if err := <-ended; err != nil {
			t.Errorf("service %d ended with %v", i, err)
		}
	}
}

func request(t *testing.T, id string, cells ...string) *pb.MicroserviceCommunication {
	t.Helper()
	original, err := anypb.New(&pb.SqlDataRequest{Type: "sqlDataRequest", Query: "SELECT 1"})
	if err != nil {
		t.Fatal(err)
	}
	list := &structpb.ListValue{}
	for _, c := range cells {
		list.Values = append(list.Values, structpb.NewStringValue(c))
	}
	return &pb.MicroserviceCommunication{
		Type: MessageType, RequestType: "sqlDataRequest", OriginalRequest: original,
		Data:            &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewListValue(list)}},
		RequestMetadata: &pb.RequestMetadata{CorrelationId: id, ReturnAddress: "SURF-in", JobId: "J"},
		Traces:          rpc.NewTrace().Traces(),
	}
}
