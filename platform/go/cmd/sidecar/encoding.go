package main

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// The AMQP types of messages.
const (
	requestApproval           = "requestApproval"
	validationResponse        = "validationResponse"
	compositionRequest        = "compositionRequest"
	requestApprovalResponse   = "requestApprovalResponse"
	sqlDataRequest            = "sqlDataRequest"
	microserviceCommunication = "microserviceCommunication"
	policyUpdate              = "policyUpdate"
	testSet                   = "testSet"
)

// bodies makes an empty message of each type that a main container can be handed.
var bodies = map[string]func() proto.Message{
	requestApproval:           func() proto.Message { return new(pb.RequestApproval) },
	validationResponse:        func() proto.Message { return new(pb.ValidationResponse) },
	compositionRequest:        func() proto.Message { return new(pb.CompositionRequest) },
	requestApprovalResponse:   func() proto.Message { return new(pb.RequestApprovalResponse) },
	sqlDataRequest:            func() proto.Message { return new(pb.SqlDataRequest) },
	microserviceCommunication: func() proto.Message { return new(pb.MicroserviceCommunication) },
	policyUpdate:              func() proto.Message { return new(pb.PolicyUpdate) },
}

// encode is a message as it goes to the broker. Trace headers are byte arrays (AMQP field type x): receivers that
// are not ours take nothing else. Only messages of chains carry the trace as JSON too.
func encode(kind, correlation string, trace rpc.Trace, message proto.Message) (amqp.Publishing, error) {
	body, err := proto.Marshal(message)
	if err != nil {
		return amqp.Publishing{}, fmt.Errorf("encode %s: %w", kind, err)
	}
	headers := amqp.Table{rpc.BinaryTrace: trace.Binary()}
	if kind == microserviceCommunication {
		headers[rpc.JSONTrace] = trace.JSON()
	}
	return amqp.Publishing{Type: kind, CorrelationId: correlation, Headers: headers, Body: body}, nil
}

// traces are those of a message's headers.
func traces(headers amqp.Table) map[string][]byte {
	found := map[string][]byte{}
	for _, name := range []string{rpc.BinaryTrace, rpc.JSONTrace} {
		switch value := headers[name].(type) {
		case []byte:
			found[name] = value
		case string:
			found[name] = []byte(value)
		}
	}
	return found
}

// envelope is a delivery as a main container gets it.
func envelope(d *amqp.Delivery) (*pb.SideCarMessage, error) {
	make, ok := bodies[d.Type]
	if !ok {
		return nil, fmt.Errorf("message type %q is not known", d.Type)
	}
	message := make()
	if err := proto.Unmarshal(d.Body, message); err != nil {
		return nil, fmt.Errorf("decode %s: %w", d.Type, err)
	}
	// Not marshalled again: what the decoder didn't know stays in.
	body := &anypb.Any{TypeUrl: "type.googleapis.com/" + string(proto.MessageName(message)), Value: d.Body}
	return &pb.SideCarMessage{Type: d.Type, Body: body, Traces: traces(d.Headers)}, nil
}

// chainMessage is a delivery as a chain's first service gets it: with the trace of the headers, or a new one, in
// both forms, which services rely on.
func chainMessage(d *amqp.Delivery) (*pb.MicroserviceCommunication, error) {
	if d.Type != microserviceCommunication {
		return nil, fmt.Errorf("message of type %q, want %q", d.Type, microserviceCommunication)
	}
	message := new(pb.MicroserviceCommunication)
	if err := proto.Unmarshal(d.Body, message); err != nil {
		return nil, fmt.Errorf("decode %s: %w", d.Type, err)
	}
	trace, ok := rpc.TraceOf(traces(d.Headers))
	if !ok {
		if trace, ok = rpc.TraceOf(message.GetTraces()); !ok {
			trace = rpc.NewTrace()
		}
	}
	message.Traces = trace.Traces()
	return message, nil
}
