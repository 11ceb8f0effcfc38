// Package service is what the platform's long-running services share: a main container connects to its sidecar,
// which speaks AMQP for it, declares its queue, handles what arrives there, and serves HTTP.
//
// A main function makes a [Service] from its queue, handlers and routes, and calls [Service.Run], which returns
// when its context ends. Handlers are functions of one message type, wrapped by [On].
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// SidecarPort is where each Pod's sidecar listens.
	SidecarPort = 50051
	// HTTPAddress is where each main container listens.
	HTTPAddress = ":8080"
	// drainTimeout is what is under way gets when the service is told to end. With handlerTimeout and stopTimeout, and what
	// package trace takes for the last spans, it is less than the grace period of the Pods, which is 5 s.
	drainTimeout = 3 * time.Second
	// maxHealthWait bounds how long a question for health may wait for its answer.
	maxHealthWait = 10 * time.Second
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
	// Settle returns when nothing is under way, beyond requests that are open, that needs another message of the
	// queue; or when ctx ends. Nil for a service where nothing ever is.
	Settle func(ctx context.Context)

	consuming gate
}

// Run serves until ctx or the sidecar ends, and what is under way then has ended too, or drainTimeout is over: the queue is
// consumed until then, because a request may wait for its answer from there. It ends the sidecar and returns nil. Any other
// return is a failure that a restart of this container may cure.
func (s *Service) Run(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", HTTPAddress)
	if err != nil {
		return fmt.Errorf("serve http: %w", err)
	}
	return s.run(ctx, listener)
}

func (s *Service) run(ctx context.Context, listener net.Listener) error {
	group, working := errgroup.WithContext(context.WithoutCancel(ctx))
	working, endWork := context.WithCancel(working)
	defer endWork()
	serving, endServing := context.WithCancel(working)
	defer endServing()
	defer context.AfterFunc(ctx, endServing)()

	declared := make(chan struct{})
	group.Go(func() error { return s.consume(working, declared) })
	group.Go(func() error {
		defer endWork()
		return s.serveHTTP(serving, listener)
	})
	go s.endsTogether(serving, endServing)
	for _, task := range s.Beside {
		group.Go(func() error {
			select {
			case <-declared:
				return task(serving)
			case <-serving.Done():
				return nil
			}
		})
	}
	slog.InfoContext(ctx, "started", "queue", s.Queue)
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	s.endSidecar(ctx)
	return nil
}

// Handler is everything that the service serves over HTTP: /healthz, which says 200 while the queue is consumed
// and 503 otherwise, and the service's own routes. A question for /healthz?wait=4s is answered as soon as the queue is
// consumed, or after that time: whoever asks again after a pause would learn of it later.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		patience, _ := time.ParseDuration(r.URL.Query().Get("wait")) // 0 without
		if !s.consuming.wait(r.Context(), min(patience, maxHealthWait)) {
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
