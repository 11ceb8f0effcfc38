package main

import (
	"context"
	"errors"
	"testing"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

func TestBrokerIsReachedBeforeItIsNeeded(t *testing.T) {
	t.Parallel()
	f := newFakeBroker()
	dialed := make(chan struct{}, 10)
	serveSidecar(t, func(ctx context.Context) (broker, error) {
		dialed <- struct{}{}
		return f.dial(ctx)
	})
	<-dialed
}

func TestBrokerThatIsAwayAtTheStartIsReachedLater(t *testing.T) {
	t.Parallel()
	f := newFakeBroker()
	refused := make(chan struct{})
	first := true
	s := serveSidecar(t, func(ctx context.Context) (broker, error) { // never called twice at once
		if first {
			first = false
			close(refused)
			return nil, errors.New("connection refused")
		}
		return f.dial(ctx)
	})
	<-refused
	if _, err := pb.NewRabbitMQClient(s).CreateQueue(t.Context(), &pb.QueueInfo{QueueName: jobQueue}); err != nil {
		t.Fatal(err)
	}
}

func TestSidecarEndsWhileTheBrokerIsDialed(t *testing.T) {
	t.Parallel()
	dialing := make(chan struct{})
	s := serveSidecar(t, func(ctx context.Context) (broker, error) {
		close(dialing)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	<-dialing
	s.stopChain(t)
	if err := <-s.ended; err != nil {
		t.Errorf("end = %v, want nil", err)
	}
}
