package service

import (
	"context"
	"net"
)

// Consume runs the consumer of s alone, without HTTP.
func Consume(ctx context.Context, s *Service) error { return s.consume(ctx, make(chan struct{})) }

// Run is [Service.Run] on a listener.
func Run(ctx context.Context, s *Service, listener net.Listener) error { return s.run(ctx, listener) }
