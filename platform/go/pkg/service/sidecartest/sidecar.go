// Package sidecartest has a sidecar without a broker, for tests of services: what they send is kept, and what a
// test delivers is consumed. Make one with [New].
package sidecartest

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// Call is one RPC that a service made.
type Call struct {
	RPC     string
	Message proto.Message // as it was at the time of the call
	Context context.Context
}

// Sidecar is a service.Sidecar. Calls of RPCs that no service of the platform makes panic.
type Sidecar struct {
	pb.RabbitMQClient

	// OnCall, if set, is asked first; its error is the RPC's, and the call is not kept.
	OnCall func(Call) error
	// Calls gets every call that succeeded. It holds many, so that services never wait for a test.
	Calls chan Call

	mu      sync.Mutex
	streams chan *stream
	ending  chan struct{}
}

// New is a sidecar that serves.
func New() *Sidecar {
	return &Sidecar{Calls: make(chan Call, 1000), streams: make(chan *stream, 10), ending: make(chan struct{})}
}

// Serving implements service.Sidecar.
func (s *Sidecar) Serving(ctx context.Context) error { return ctx.Err() }

// Ending implements service.Sidecar.
func (s *Sidecar) Ending(ctx context.Context) bool {
	select {
	case <-s.ending:
		return true
	case <-ctx.Done():
		return false
	}
}

// End announces the sidecar's end.
func (s *Sidecar) End() { close(s.ending) }

func (s *Sidecar) call(ctx context.Context, rpc string, message proto.Message) (*emptypb.Empty, error) {
	call := Call{RPC: rpc, Message: proto.Clone(message), Context: ctx}
	s.mu.Lock()
	onCall := s.OnCall
	s.mu.Unlock()
	if onCall != nil {
		if err := onCall(call); err != nil {
			return nil, err
		}
	}
	s.Calls <- call
	return &emptypb.Empty{}, nil
}

// InitRabbitMq and the following implement service.Sidecar.
func (s *Sidecar) InitRabbitMq(ctx context.Context, m *pb.InitRequest, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "InitRabbitMq", m)
}

func (s *Sidecar) CreateQueue(ctx context.Context, m *pb.QueueInfo, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "CreateQueue", m)
}

func (s *Sidecar) DeleteQueue(ctx context.Context, m *pb.QueueInfo, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "DeleteQueue", m)
}

func (s *Sidecar) SendRequestApproval(ctx context.Context, m *pb.RequestApproval, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "SendRequestApproval", m)
}

func (s *Sidecar) SendValidationResponse(ctx context.Context, m *pb.ValidationResponse, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "SendValidationResponse", m)
}

func (s *Sidecar) SendCompositionRequest(ctx context.Context, m *pb.CompositionRequest, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "SendCompositionRequest", m)
}

func (s *Sidecar) SendSqlDataRequest(ctx context.Context, m *pb.SqlDataRequest, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "SendSqlDataRequest", m)
}

func (s *Sidecar) SendPolicyUpdate(ctx context.Context, m *pb.PolicyUpdate, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "SendPolicyUpdate", m)
}

func (s *Sidecar) SendMicroserviceComm(ctx context.Context, m *pb.MicroserviceCommunication, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "SendMicroserviceComm", m)
}

func (s *Sidecar) SendRequestApprovalResponse(ctx context.Context, m *pb.RequestApprovalResponse, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "SendRequestApprovalResponse", m)
}

func (s *Sidecar) StopReceivingRabbit(ctx context.Context, m *pb.StopRequest, _ ...grpc.CallOption) (*emptypb.Empty, error) {
	return s.call(ctx, "StopReceivingRabbit", m)
}

// Consume implements service.Sidecar.
func (s *Sidecar) Consume(ctx context.Context, m *pb.ConsumeRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[pb.SideCarMessage], error) {
	if _, err := s.call(ctx, "Consume", m); err != nil {
		return nil, err
	}
	consumer := &stream{ctx: ctx, messages: make(chan *pb.SideCarMessage), broken: make(chan struct{})}
	s.streams <- consumer
	return consumer, nil
}

// Deliver waits for the service to consume, and hands it a message.
func (s *Sidecar) Deliver(messages ...*pb.SideCarMessage) (breakStream func()) {
	consumer := <-s.streams
	for _, m := range messages {
		consumer.messages <- m
	}
	return func() { close(consumer.broken) }
}

// Envelope wraps a message as the sidecar does.
func Envelope(kind string, message proto.Message, traces map[string][]byte) *pb.SideCarMessage {
	body, err := anypb.New(message)
	if err != nil {
		panic(err) // messages without invalid text can be packed
	}
	return &pb.SideCarMessage{Type: kind, Body: body, Traces: traces}
}

type stream struct {
	grpc.ClientStream
	ctx      context.Context
	messages chan *pb.SideCarMessage
	broken   chan struct{}
}

func (s *stream) Recv() (*pb.SideCarMessage, error) {
	select {
	case m := <-s.messages:
		return m, nil
	case <-s.broken:
		return nil, io.EOF
	case <-s.ctx.Done():
		return nil, s.ctx.Err()
	}
}
