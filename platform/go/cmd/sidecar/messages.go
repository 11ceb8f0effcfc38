package main

import (
	"context"

	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// SendRequestApproval and the following send one message each, and return when it is in its queue. Their errors are
// NOT_FOUND if the queue doesn't come to exist, FAILED_PRECONDITION if the broker refuses the message, and
// UNAVAILABLE if the broker stays away.
func (s *server) SendRequestApproval(ctx context.Context, m *pb.RequestApproval) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, sending{
		kind: requestApproval, queue: m.GetDestinationQueue(), message: m, timeout: sendTimeout,
	})
}

// SendValidationResponse goes to the orchestrator, always.
func (s *server) SendValidationResponse(ctx context.Context, m *pb.ValidationResponse) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, sending{
		kind: validationResponse, queue: "orchestrator-in", message: m, timeout: sendTimeout,
	})
}

func (s *server) SendCompositionRequest(ctx context.Context, m *pb.CompositionRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, sending{
		kind: compositionRequest, queue: m.GetDestinationQueue(), message: m, timeout: sendTimeout,
	})
}

func (s *server) SendRequestApprovalResponse(ctx context.Context, m *pb.RequestApprovalResponse) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, sending{
		kind: requestApprovalResponse, queue: m.GetRequestMetadata().GetDestinationQueue(),
		traces: m.GetRequestMetadata().GetTraces(), message: m, timeout: sendTimeout,
	})
}

func (s *server) SendSqlDataRequest(ctx context.Context, m *pb.SqlDataRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, sending{
		kind: sqlDataRequest, queue: m.GetRequestMetadata().GetDestinationQueue(),
		correlation: m.GetRequestMetadata().GetCorrelationId(),
		traces:      m.GetRequestMetadata().GetTraces(), message: m, timeout: dataTimeout,
	})
}

func (s *server) SendPolicyUpdate(ctx context.Context, m *pb.PolicyUpdate) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, sending{
		kind: policyUpdate, queue: m.GetRequestMetadata().GetDestinationQueue(),
		correlation: m.GetRequestMetadata().GetCorrelationId(),
		traces:      m.GetRequestMetadata().GetTraces(), message: m, timeout: dataTimeout,
	})
}

// SendMicroserviceComm sends an agent's message to a chain, or to another agent. Its AMQP type is the one it says.
func (s *server) SendMicroserviceComm(ctx context.Context, m *pb.MicroserviceCommunication) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, chainSending(m, m.GetType(), m.GetRequestMetadata().GetDestinationQueue()))
}

// SendTest sends to a queue that nobody has.
func (s *server) SendTest(ctx context.Context, m *pb.SqlDataRequest) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, s.send(ctx, sending{
		kind: testSet, queue: "no existss", correlation: m.GetRequestMetadata().GetCorrelationId(),
		traces: m.GetRequestMetadata().GetTraces(), message: m, timeout: dataTimeout,
	})
}

// SendData is the end of a chain: the message goes back to the agent.
func (s *server) SendData(ctx context.Context, m *pb.MicroserviceCommunication) (*pb.ContinueReceiving, error) {
	return &pb.ContinueReceiving{}, s.job.answer(ctx, m)
}

func chainSending(m *pb.MicroserviceCommunication, kind, queue string) sending {
	return sending{
		kind: kind, queue: queue, correlation: m.GetRequestMetadata().GetCorrelationId(),
		traces: m.GetTraces(), message: m, timeout: dataTimeout,
	}
}
