package chain

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const (
	// MessageType is the type of every message of a chain.
	MessageType = "microserviceCommunication"
	// ErrorKey is the key of a message's metadata that says why the chain failed.
	ErrorKey = "error"
)

// Handler makes the message to hand on of those that arrived: one, or as many as [Service.Messages] says. It may
// change and return one of them, and keeps original_request and request_metadata as they are; traces are seen to. What
// it returns as an error is what the requester gets. ctx carries the trace and the correlation id.
type Handler func(ctx context.Context, messages []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error)

// Service is one service of a chain.
type Service struct {
	Name   string // "sql-algorithm"
	Handle Handler
	// Messages is how many messages of the request arrive before Handle is called; less than 1 means 1.
	Messages int

	patience time.Duration // sidecarPatience, shorter in tests
}

// SQL makes a [Handler] of a function that works on one message in place, and on the SQL data request that started
// the chain. Other requests are refused.
func SQL(handle func(ctx context.Context, message *pb.MicroserviceCommunication, request *pb.SqlDataRequest) error) Handler {
	return func(ctx context.Context, messages []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
		message := messages[0]
		if kind := message.GetRequestType(); kind != "sqlDataRequest" {
			return nil, fmt.Errorf("request type %q is not known here", kind)
		}
		request := new(pb.SqlDataRequest)
		if err := message.GetOriginalRequest().UnmarshalTo(request); err != nil {
			return nil, fmt.Errorf("decode the original request: %w", err)
		}
		return message, handle(ctx, message, request)
	}
}

// Main is a service's main function: it runs the service that configure makes for the place that the environment says,
// until its part is done or the Pod ends, and returns the exit code.
func Main(name string, configure func(Place) Service) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	slog.SetDefault(logging.New(name))
	defer trace.Begin(name)()
	place, err := PlaceFromEnv(os.Getenv)
	if err == nil {
		s := configure(place)
		s.Name = name
		err = s.Run(ctx, place)
	}
	if err != nil {
		slog.ErrorContext(ctx, "service failed", "error", err)
		return 1
	}
	return 0
}
