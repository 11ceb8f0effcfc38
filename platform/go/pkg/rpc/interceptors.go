package rpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// traceMetadata is the header of a call that carries its trace in binary form, as OpenCensus names it.
const traceMetadata = "grpc-trace-bin"

func sendTrace(ctx context.Context) context.Context {
	if t, ok := TraceFrom(ctx); ok {
		return metadata.AppendToOutgoingContext(ctx, traceMetadata, string(t.Binary()))
	}
	return ctx
}

func takeTrace(ctx context.Context) context.Context {
	for _, value := range metadata.ValueFromIncomingContext(ctx, traceMetadata) {
		if t, ok := parseBinary([]byte(value)); ok {
			return WithTrace(ctx, t)
		}
	}
	return ctx
}

func sendTraceUnary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(sendTrace(ctx), method, request, reply, conn, options...)
}

func sendTraceStream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, stream grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	return stream(sendTrace(ctx), desc, conn, method, options...)
}

func takeTraceUnary(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	return handle(takeTrace(ctx), request)
}

func takeTraceStream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	return handle(server, tracedStream{stream, takeTrace(stream.Context())})
}

type tracedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s tracedStream) Context() context.Context { return s.ctx }
