package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// MaxRequestBytes limits a request's body: a query and its options, not data.
	MaxRequestBytes = 4 << 20
	// maxHeaderBytes limits a request's headers.
	maxHeaderBytes = 64 << 10
	// headerTimeout and idleTimeout keep slow clients from holding connections. Answers have no limit of their
	// own: a data request is held open until its chain has run, and the handlers time that.
	headerTimeout = 5 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	// drainTimeout is what open requests get when the service is told to end; a Pod's grace period is little longer.
	drainTimeout = 2 * time.Second
)

// serveHTTP serves handler on address until ctx ends, then lets open requests finish for a moment.
func serveHTTP(ctx context.Context, address string, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve http: %w", err)
	}
	server := &http.Server{
		Handler:           http.MaxBytesHandler(handler, MaxRequestBytes),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("end http: %w", err)
	}
	return server.Close()
}
