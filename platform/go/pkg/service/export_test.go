package service

import "context"

// Consume runs the consumer of s alone, without HTTP.
func Consume(ctx context.Context, s *Service) error { return s.consume(ctx, make(chan struct{})) }
