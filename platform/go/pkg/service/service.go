// Package service is what the platform's long-running services share: a main container connects to its sidecar,
// which speaks AMQP for it, declares its queue, handles what arrives there, and serves HTTP.
//
// A main function makes a [Service] from its queue, handlers and routes, and calls [Service.Run], which returns
// when its context ends. Handlers are functions of one message type, wrapped by [On].
package service

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	// SidecarAddress is where each Pod's sidecar listens.
	SidecarAddress = "localhost:50051"
	// HTTPAddress is where each main container listens.
	HTTPAddress = ":8080"
)

// Service is one main container.
type Service struct {
	Queue    string   // both its name and its routing key, "orchestrator-in"
	Sidecar  Sidecar  // from [DialSidecar]
	Handlers Handlers // by message type; other types are logged and dropped
	// HTTP serves everything but /healthz. Nil for a service without an API.
	HTTP http.Handler
	// Beside are tasks that run until their context ends. They begin when the queue exists for the first time; an
	// error of one ends the service.
	Beside []func(context.Context) error

	consuming atomic.Bool
}

// Run serves until ctx ends, and returns nil then. Any other return is a failure that a restart may cure.
func (s *Service) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	declared := make(chan struct{})
	group.Go(func() error { return s.consume(ctx, declared) })
	group.Go(func() error { return serveHTTP(ctx, HTTPAddress, s.Handler()) })
	for _, task := range s.Beside {
		group.Go(func() error {
			select {
			case <-declared:
				return task(ctx)
			case <-ctx.Done():
				return nil
			}
		})
	}
	slog.InfoContext(ctx, "started", "queue", s.Queue)
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Handler is everything that the service serves over HTTP: /healthz, which says 200 while the queue is consumed
// and 503 otherwise, and the service's own routes.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if !s.consuming.Load() {
			http.Error(w, "queue not consumed", http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	if s.HTTP != nil {
		mux.Handle("/", s.HTTP)
	}
	return mux
}
