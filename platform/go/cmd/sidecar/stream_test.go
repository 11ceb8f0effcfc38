package main

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

type stream = grpc.ServerStreamingClient[pb.SideCarMessage]

// consume is what a main container does when it starts.
func (s *started) consume(t *testing.T, ctx context.Context, queue string) stream {
	t.Helper()
	client := pb.NewRabbitMQClient(s)
	if _, err := client.InitRabbitMq(ctx, &pb.InitRequest{ServiceName: queue, RoutingKey: queue}); err != nil {
		t.Fatal(err)
	}
	messages, err := client.Consume(ctx, &pb.ConsumeRequest{QueueName: queue, AutoAck: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := messages.Header(); err != nil {
		t.Fatal(err)
	}
	return messages
}

func (s *started) recv(t *testing.T, messages stream) *pb.SideCarMessage {
	t.Helper()
	m, err := messages.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestStreamDecodesAndAcknowledges(t *testing.T) {
	t.Parallel()
	broker := newFakeBroker()
	s := startSidecar(t, broker)
	messages := s.consume(t, t.Context(), "orchestrator-in")
	broker.put(t, "orchestrator-in", "unknown", &pb.StopRequest{}) // rejected, and nothing else happens
	broker.put(t, "orchestrator-in", validationResponse, &pb.ValidationResponse{RequestApproved: true})
	m := s.recv(t, messages)
	var body pb.ValidationResponse
	if err := m.GetBody().UnmarshalTo(&body); err != nil || !body.GetRequestApproved() || m.GetType() != validationResponse {
		t.Errorf("got %v (%v)", m, err)
	}
	if got, want := m.GetBody().GetTypeUrl(), "type.googleapis.com/dynamos.ValidationResponse"; got != want {
		t.Errorf("type URL %s, want %s", got, want)
	}
	if _, ok := rpc.TraceOf(m.GetTraces()); !ok {
		t.Errorf("traces %v", m.GetTraces())
	}
	s.cancel()
	<-s.ended
	if left := broker.queue("orchestrator-in").ready; len(left) != 0 {
		t.Errorf("%d messages came back that were handed over", len(left))
	}
}

func TestMainContainerRestartedAlone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		end  bool // of the first life's stream, before the second begins
	}{{"stream ended", true}, {"stream half open", false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker := newFakeBroker()
			s := startSidecar(t, broker)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.consume(t, ctx, "api-gateway-in")
			if test.end {
				cancel()
			}
			messages := s.consume(t, t.Context(), "api-gateway-in")
			for i := range 10 {
				broker.put(t, "api-gateway-in", requestApprovalResponse, &pb.RequestApprovalResponse{JobId: fmt.Sprint(i)})
			}
			for range 10 {
				s.recv(t, messages)
			}
			if most := broker.queue("api-gateway-in").most; most != 1 {
				t.Errorf("the queue had %d consumers at once, want never more than 1", most)
			}
		})
	}
}

func TestMessagesNotHandedOverStay(t *testing.T) {
	t.Parallel()
	broker := newFakeBroker()
	s := startSidecar(t, broker)
	ctx, cancel := context.WithCancel(t.Context())
	messages := s.consume(t, ctx, "UVA-in")
	broker.put(t, "UVA-in", sqlDataRequest, &pb.SqlDataRequest{Query: "1"})
	s.recv(t, messages)
	cancel()
	again := s.consume(t, t.Context(), "UVA-in")
	broker.put(t, "UVA-in", sqlDataRequest, &pb.SqlDataRequest{Query: "2"})
	var body pb.SqlDataRequest
	if err := s.recv(t, again).GetBody().UnmarshalTo(&body); err != nil || body.GetQuery() != "2" {
		t.Errorf("got %v (%v), want the second message", &body, err)
	}
}

func TestStreamEndsWithTheBrokerConnection(t *testing.T) {
	t.Parallel()
	broker := newFakeBroker()
	s := startSidecar(t, broker)
	messages := s.consume(t, t.Context(), "UVA-in")
	broker.drop()
	if _, err := messages.Recv(); err == nil {
		t.Fatal("the stream goes on")
	}
	broker.put(t, "UVA-in", sqlDataRequest, &pb.SqlDataRequest{Query: "1"})
	s.recv(t, s.consume(t, t.Context(), "UVA-in"))
}
