package main

import (
	"context"
	"log/slog"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// server serves what the containers of a Pod ask of their sidecar.
type server struct {
	pb.UnimplementedRabbitMQServer
	pb.UnimplementedMicroserviceServer
	pb.UnimplementedGenericServer

	link *link
	job  *job

	mu     sync.Mutex
	stream consumer // of the last Consume; nil before, and for chains

	stopped  chan struct{} // closed by stop
	stopOnce sync.Once
}

func newServer(dial func(context.Context) (broker, error)) *server {
	s := &server{link: newLink(dial), stopped: make(chan struct{})}
	s.job = newJob(s)
	return s
}

func (s *server) register(to grpc.ServiceRegistrar) {
	pb.RegisterRabbitMQServer(to, s)
	pb.RegisterMicroserviceServer(to, s)
	pb.RegisterGenericServer(to, s)
	pb.RegisterEtcdServer(to, &etcdServer{stopped: s.stopped})
}

// stop begins the sidecar's end. See [server.serve].
func (s *server) stop() { s.stopOnce.Do(func() { close(s.stopped) }) }

// InitRabbitMq declares the queue of a main container, and waits for the broker for that. The consumer of the main
// container's former life, if this one was restarted alone, is closed first: it would get every second message.
func (s *server) InitRabbitMq(ctx context.Context, in *pb.InitRequest) (*emptypb.Empty, error) {
	s.replaceStream(nil)
	return s.declare(ctx, in.GetServiceName(), in.GetRoutingKey(), in.GetQueueAutoDelete())
}

// CreateQueue declares a queue whose routing key is its name.
func (s *server) CreateQueue(ctx context.Context, in *pb.QueueInfo) (*emptypb.Empty, error) {
	return s.declare(ctx, in.GetQueueName(), in.GetQueueName(), in.GetAutoDelete())
}

func (s *server) declare(ctx context.Context, queue, key string, autoDelete bool) (*emptypb.Empty, error) {
	b, err := s.link.get(ctx)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if err := b.Declare(queue, key, autoDelete); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	slog.InfoContext(ctx, "queue declared", "queue", queue)
	return &emptypb.Empty{}, nil
}

// DeleteQueue removes a queue with what is in it.
func (s *server) DeleteQueue(ctx context.Context, in *pb.QueueInfo) (*emptypb.Empty, error) {
	b, err := s.link.get(ctx)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	if err := b.Delete(in.GetQueueName()); err != nil {
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	}
	slog.InfoContext(ctx, "queue deleted", "queue", in.GetQueueName())
	return &emptypb.Empty{}, nil
}

// InitTracer answers a call that tracing needed once. Traces are carried through without it.
func (s *server) InitTracer(context.Context, *pb.ServiceName) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}
