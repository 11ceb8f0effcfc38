package service_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

// running is a service on a port of its own.
type running struct {
	url   string
	end   context.CancelFunc
	ended chan error
}

func run(t *testing.T, s *service.Service) *running {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{url: "http://" + listener.Addr().String(), end: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- service.Run(ctx, s, listener) }()
	return r
}

func get(ctx context.Context, client *http.Client, url string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

func TestEndWaitsForTheAnswerToAnOpenRequest(t *testing.T) {
	t.Parallel()
	arrived, answer := make(chan struct{}), make(chan string, 1)
	sidecar := sidecartest.New()
	settled := false
	s := &service.Service{
		Queue: "x-in", Sidecar: sidecar,
		Handlers: service.Handlers{
			"compositionRequest": service.On(func(_ context.Context, m *pb.CompositionRequest) error {
				answer <- m.GetJobName()
				return nil
			}),
		},
		HTTP: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(arrived)
			_, _ = io.WriteString(w, <-answer)
		}),
		Settle: func(ctx context.Context) { settled = ctx.Err() == nil },
	}
	r := run(t, s)
	got := make(chan string, 1)
	go func() {
		_, body, err := get(t.Context(), http.DefaultClient, r.url+"/data")
		got <- body
		if err != nil {
			t.Errorf("request under way when the service was told to end: %v", err)
		}
	}()
	<-arrived
	r.end()
	sidecar.Deliver(sidecartest.Envelope("compositionRequest", &pb.CompositionRequest{JobName: "late"}, nil))
	if body := <-got; body != "late" {
		t.Errorf("answer = %q, want what came from the queue meanwhile", body)
	}
	if err := <-r.ended; err != nil || !settled {
		t.Errorf("end = %v, settled %v, want nil and true", err, settled)
	}
}

func TestEndWaitsForNoConnectionWithoutARequest(t *testing.T) {
	t.Parallel()
	r := run(t, &service.Service{Queue: "x-in", Sidecar: sidecartest.New()})
	kept := &http.Client{Transport: &http.Transport{}}
	if _, _, err := get(t.Context(), kept, r.url+"/healthz"); err != nil {
		t.Fatal(err)
	}
	silent, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.url[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	begun := time.Now()
	r.end()
	if err := <-r.ended; err != nil {
		t.Errorf("end = %v, want nil", err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("the end took %v with nothing under way", took)
	}
}

func TestMainContainerAndSidecarEndTogether(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"main container", "sidecar"} {
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			sidecar := sidecartest.New()
			r := run(t, &service.Service{Queue: "x-in", Sidecar: sidecar})
			if first == "sidecar" {
				sidecar.End()
			} else {
				r.end()
			}
			if err := <-r.ended; err != nil {
				t.Errorf("end = %v, want nil", err)
			}
			last := ""
			for range len(sidecar.Calls) {
				last = (<-sidecar.Calls).RPC
			}
			if last != "StopReceivingRabbit" {
				t.Errorf("last call = %s, want the sidecar told to end", last)
			}
		})
	}
}

func TestFailureEndsTheService(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	sidecar := sidecartest.New()
	r := run(t, &service.Service{
		Queue: "x-in", Sidecar: sidecar,
		Beside: []func(context.Context) error{func(context.Context) error { return broken }},
	})
	if err := <-r.ended; !errors.Is(err, broken) {
		t.Errorf("end = %v, want the failure of a task", err)
	}
	for range len(sidecar.Calls) {
		if call := <-sidecar.Calls; call.RPC == "StopReceivingRabbit" {
			t.Error("the sidecar was told to end by a service that will be started again alone")
		}
	}
}

func TestHandlersComeToTheirEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := make(chan struct{}, 2)
		quick, endless := make(chan error, 1), make(chan error, 1)
		sidecar := sidecartest.New()
		s := &service.Service{Queue: "x-in", Sidecar: sidecar, Handlers: service.Handlers{
			"compositionRequest": service.On(func(ctx context.Context, _ *pb.CompositionRequest) error {
				begun <- struct{}{}
				time.Sleep(100 * time.Millisecond)
				quick <- ctx.Err()
				return nil
			}),
			"sqlDataRequest": service.On(func(ctx context.Context, _ *pb.SqlDataRequest) error {
				begun <- struct{}{}
				<-ctx.Done()
				endless <- ctx.Err()
				return nil
			}),
		}}
		stop := consume(t, s)
		sidecar.Deliver(
			sidecartest.Envelope("compositionRequest", &pb.CompositionRequest{}, nil),
			sidecartest.Envelope("sqlDataRequest", &pb.SqlDataRequest{}, nil),
		)
		<-begun
		<-begun
		stop()
		if err := <-quick; err != nil {
			t.Errorf("context of a handler that soon ends = %v, want it to live", err)
		}
		<-endless
	})
}

func TestHealthIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sidecar := sidecartest.New()
		s := &service.Service{Queue: "x-in", Sidecar: sidecar}
		asked := func() <-chan int {
			status := make(chan int, 1)
			go func() {
				w := httptest.NewRecorder()
				s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz?wait=4s", nil))
				status <- w.Code
			}()
			synctest.Wait()
			return status
		}
		begun := time.Now()
		if got := <-asked(); got != http.StatusServiceUnavailable || time.Since(begun) != 4*time.Second {
			t.Errorf("healthz of a queue that isn't consumed = %d after %v, want 503 after 4s", got, time.Since(begun))
		}
		begun = time.Now()
		status := asked()
		stop := consume(t, s)
		if got := <-status; got != http.StatusOK || time.Since(begun) != 0 {
			t.Errorf("healthz = %d after %v, want 200 as soon as the queue is consumed", got, time.Since(begun))
		}
		stop()
	})
}
