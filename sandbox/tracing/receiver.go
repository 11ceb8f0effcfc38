package tracing

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	opencensus "github.com/census-instrumentation/opencensus-proto/gen-go/agent/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// The ports at which DYNAMOS has a collector.
const (
	OTLPPort       = 4317
	OpenCensusPort = 55678
)

// Receiver takes spans in either protocol at one address.
type Receiver struct {
	server *grpc.Server
	served chan struct{}
}

// Listen opens a receiver that puts what it gets into a store.
func Listen(ctx context.Context, address netip.AddrPort, store *Store) (*Receiver, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address.String())
	if err != nil {
		return nil, fmt.Errorf("listen for spans: %w", err)
	}
	r := &Receiver{server: grpc.NewServer(), served: make(chan struct{})}
	otlp.RegisterTraceServiceServer(r.server, otlpServer{store: store})
	opencensus.RegisterTraceServiceServer(r.server, opencensusServer{store: store})
	go func() {
		defer close(r.served)
		_ = r.server.Serve(listener) // returns when Close is called
	}()
	return r, nil
}

// Close ends the receiver at once; whoever sends just then loses its spans.
func (r *Receiver) Close() {
	r.server.Stop()
	<-r.served
}
