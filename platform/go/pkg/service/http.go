package service

import (
	"context"
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
)

// serveHTTP serves until ctx ends. It then takes no further connection, and returns when the open requests are answered
// and the service has settled, or drainTimeout is over.
func (s *Service) serveHTTP(ctx context.Context, listener net.Listener) error {
	var open connections
	server := &http.Server{
		Handler:           http.MaxBytesHandler(s.Handler(), MaxRequestBytes),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       bodyTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnState:         open.track,
		ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve http: %w", err)
	case <-ctx.Done():
	}
	s.consuming.end() // nobody is to wait for it any more
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	// Shutdown would look again and again, at growing intervals, whether requests have ended. It begins the end, and
	// the connections tell by themselves.
	begun, now := context.WithCancel(drain)
	now()
	_ = server.Shutdown(begun)
	open.settle(drain)
	err := server.Close()
	if s.Settle != nil {
		s.Settle(drain)
	}
	return err
}
