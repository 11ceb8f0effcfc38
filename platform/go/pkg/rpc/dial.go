package rpc

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// MaxMessageBytes is the largest message that a client or server of this package sends or takes. gRPC's own limit,
// 4 MiB, is some 30,000 rows of a query. This one keeps a Pod's memory in bounds: each of its containers holds a
// message once or twice.
const MaxMessageBytes = 256 << 20

// reconnect is how soon a client tries again. Containers of one Pod start within a fraction of a second of each
// other, and gRPC's default of 1 s would be most of a request's time. A refused connection on loopback costs nothing.
var reconnect = grpc.ConnectParams{
	Backoff: backoff.Config{
		BaseDelay:  10 * time.Millisecond,
		Multiplier: 1.5,
		Jitter:     0.2,
		MaxDelay:   100 * time.Millisecond,
	},
	MinConnectTimeout: 2 * time.Second,
}

// Local is the address of a port in the Pod. It has no name in it: the kubelet writes /etc/hosts anew when it starts another
// container of the Pod, and who asks for localhost just then is told that there is no such host.
func Local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Dial makes a client for HOST:PORT, in plain text: the other end is in the same Pod. It doesn't connect before the
// first call. Calls wait for a server that doesn't listen yet, for as long as their context allows; those that must
// not wait pass grpc.WaitForReady(false).
func Dial(address string) (*grpc.ClientConn, error) {
	// Passthrough has no resolver that might find the address wanting and pause.
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithConnectParams(reconnect),
		// An idle client would have to connect anew; and the chain's end is noticed by its connection.
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(
			grpc.WaitForReady(true),
			grpc.MaxCallRecvMsgSize(MaxMessageBytes),
			grpc.MaxCallSendMsgSize(MaxMessageBytes),
		),
		grpc.WithUnaryInterceptor(sendTraceUnary),
		grpc.WithStreamInterceptor(sendTraceStream),
	)
	if err != nil {
		return nil, fmt.Errorf("make client for %s: %w", address, err)
	}
	return conn, nil
}
