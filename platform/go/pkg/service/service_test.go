package service_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

// consume runs a service's consumer in the bubble of a synctest; HTTP can't take part in one.
func consume(t *testing.T, s *service.Service) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- service.Consume(ctx, s) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("consume = %v, want nil after its context ended", err)
		}
	}
}

func healthz(s *service.Service) int {
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	return w.Code
}

func TestSlowHandlerHoldsUpNoOtherMessage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, handled := make(chan struct{}), make(chan string)
		sidecar := sidecartest.New()
		s := &service.Service{Queue: "x-in", Sidecar: sidecar, Handlers: service.Handlers{
			"compositionRequest": service.On(func(_ context.Context, m *pb.CompositionRequest) error {
				if m.GetJobName() == "slow" {
					<-release
				}
				handled <- m.GetJobName()
				return nil
			}),
		}}
		stop := consume(t, s)
		sidecar.Deliver(
			sidecartest.Envelope("compositionRequest", &pb.CompositionRequest{JobName: "slow"}, nil),
			sidecartest.Envelope("somethingElse", &pb.User{}, nil), // logged and dropped
			sidecartest.Envelope("compositionRequest", &pb.CompositionRequest{JobName: "fast"}, nil),
		)
		if got := <-handled; got != "fast" {
			t.Errorf("first handled = %q, want the fast one", got)
		}
		close(release)
		if got := <-handled; got != "slow" {
			t.Errorf("second handled = %q, want the slow one", got)
		}
		stop()
	})
}

func TestSidecarRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan string, 1)
		sidecar := sidecartest.New()
		s := &service.Service{Queue: "x-in", Sidecar: sidecar, Handlers: service.Handlers{
			"compositionRequest": service.On(func(_ context.Context, m *pb.CompositionRequest) error {
				handled <- m.GetJobName()
				return errors.New("only logged")
			}),
		}}
		if got := healthz(s); got != http.StatusServiceUnavailable {
			t.Errorf("healthz before the queue is consumed = %d, want 503", got)
		}
		stop := consume(t, s)
		breakStream := sidecar.Deliver()
		synctest.Wait()
		if got := healthz(s); got != http.StatusOK {
			t.Errorf("healthz while the queue is consumed = %d, want 200", got)
		}
		breakStream()
		synctest.Wait()
		if got := healthz(s); got != http.StatusServiceUnavailable {
			t.Errorf("healthz while the sidecar is away = %d, want 503", got)
		}
		sidecar.Deliver(sidecartest.Envelope("compositionRequest", &pb.CompositionRequest{JobName: "after"}, nil))
		if got := <-handled; got != "after" {
			t.Errorf("handled = %q, want the message sent after the restart", got)
		}
		stop()

		var rpcs []string
		for range len(sidecar.Calls) {
			rpcs = append(rpcs, (<-sidecar.Calls).RPC)
		}
		if want := []string{"InitRabbitMq", "Consume", "InitRabbitMq", "Consume"}; !slices.Equal(rpcs, want) {
			t.Errorf("calls = %v, want %v", rpcs, want)
		}
	})
}
