package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// first is a chain's first service.
type first struct {
	pb.UnimplementedMicroserviceServer
	handle func(context.Context, *pb.MicroserviceCommunication) error
	port   uint32
	server *grpc.Server
}

func (f *first) SendData(ctx context.Context, m *pb.MicroserviceCommunication) (*pb.ContinueReceiving, error) {
	return &pb.ContinueReceiving{}, f.handle(ctx, m)
}

func startFirst(t *testing.T, handle func(context.Context, *pb.MicroserviceCommunication) error) *first {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &first{handle: handle, port: uint32(listener.Addr().(*net.TCPAddr).Port)}
	f.server, _ = rpc.NewServer()
	pb.RegisterMicroserviceServer(f.server, f)
	go func() { _ = f.server.Serve(listener) }()
	t.Cleanup(f.server.Stop)
	return f
}

const jobQueue, agentQueue = "Juva1", "UVA-in"

func (s *started) beginChain(t *testing.T, f *first) {
	t.Helper()
	_, err := pb.NewRabbitMQClient(s).InitRabbitForChain(t.Context(), &pb.ChainRequest{ServiceName: "sql-query", RoutingKey: jobQueue, Port: f.port})
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what the last service does.
func (s *started) answer(t *testing.T, m *pb.MicroserviceCommunication) {
	if _, err := pb.NewMicroserviceClient(s).SendData(t.Context(), m); err != nil {
		t.Error(err)
	}
}

func (s *started) stopChain(t *testing.T) {
	if _, err := pb.NewRabbitMQClient(s).StopReceivingRabbit(t.Context(), &pb.StopRequest{}); err != nil {
		t.Error(err)
	}
}

func data(id, result string) *pb.MicroserviceCommunication {
	return &pb.MicroserviceCommunication{
		Type: microserviceCommunication, RequestType: sqlDataRequest, Result: []byte(result),
		RequestMetadata: &pb.RequestMetadata{CorrelationId: id, ReturnAddress: agentQueue, DestinationQueue: jobQueue},
	}
}

func withQueues(t *testing.T, names ...string) *fakeBroker {
	t.Helper()
	f := newFakeBroker()
	b, _ := f.dial(t.Context())
	for _, name := range names {
		if err := b.Declare(name, name, false); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// answers are the messages in the agent's queue.
func (f *fakeBroker) answers(t *testing.T) (all []*pb.MicroserviceCommunication) {
	t.Helper()
	for _, d := range f.queue(agentQueue).ready {
		m, err := chainMessage(&d)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// ready lists the correlation ids in a queue.
func (f *fakeBroker) ready(t *testing.T, queue string) (ids []string) {
	t.Helper()
	for _, d := range f.queue(queue).ready {
		m, err := chainMessage(&d)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.GetRequestMetadata().GetCorrelationId())
	}
	return ids
}

func TestChainMessageIsAnsweredAndSidecarEnds(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	var got *pb.MicroserviceCommunication
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		got = proto.Clone(m).(*pb.MicroserviceCommunication)
		m.Result = []byte("42")
		s.answer(t, m)
		s.stopChain(t)
		if _, err := s.server.StopReceivingRabbit(t.Context(), &pb.StopRequest{}); err != nil { // twice is fine
			t.Error(err)
		}
		return nil
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	if err := <-s.ended; err != nil {
		t.Errorf("sidecar ended with %v", err)
	}
	answers := broker.answers(t)
	if len(answers) != 1 || string(answers[0].GetResult()) != "42" {
		t.Fatalf("answers %v, want one", answers)
	}
	if left := broker.ready(t, jobQueue); left != nil {
		t.Errorf("job queue still has %q", left)
	}
	if _, ok := rpc.TraceOf(got.GetTraces()); !ok || got.GetTraces()[rpc.JSONTrace] == nil {
		t.Errorf("the first service got traces %v, want both forms", got.GetTraces())
	}
	if !proto.Equal(&pb.MicroserviceCommunication{Traces: got.GetTraces()}, &pb.MicroserviceCommunication{Traces: answers[0].GetTraces()}) {
		t.Error("the answer has another trace than the request")
	}
}

func TestNextRequestWaitsForTheNextPod(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		if id := m.GetRequestMetadata().GetCorrelationId(); id != "C1" {
			return status.Error(codes.Unavailable, "takes no message any more")
		}
		s.answer(t, m)
		// The agent has the answer, and its next request follows at once.
		broker.put(t, jobQueue, microserviceCommunication, data("C2", ""))
		s.stopChain(t)
		return nil
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	if err := <-s.ended; err != nil {
		t.Errorf("sidecar ended with %v", err)
	}
	if left := broker.ready(t, jobQueue); !slices.Equal(left, []string{"C2"}) {
		t.Errorf("job queue has %q, want C2", left)
	}
	if d := broker.queue(jobQueue).ready[0]; d.Redelivered {
		t.Error("C2 was delivered to the Pod that ended")
	}
}

func TestMessageThatCameTooEarlyGoesBack(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	begun, proceed := make(chan struct{}), make(chan struct{})
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		if id := m.GetRequestMetadata().GetCorrelationId(); id != "C1" {
			t.Errorf("the chain was handed %s while it worked on C1", id)
		}
		close(begun)
		<-proceed
		s.answer(t, m)
		s.stopChain(t)
		return nil
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	<-begun
	broker.put(t, jobQueue, microserviceCommunication, data("C2", ""))
	close(proceed)
	<-s.ended
	if left := broker.ready(t, jobQueue); !slices.Equal(left, []string{"C2"}) {
		t.Errorf("job queue has %q, want C2", left)
	}
	if n := len(broker.answers(t)); n != 1 {
		t.Errorf("%d answers, want 1", n)
	}
}

func TestMessagesAreHandedOverOneAfterTheOther(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	var busy, most, seen atomic.Int32
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		most.Store(max(most.Load(), busy.Add(1)))
		defer busy.Add(-1)
		runtime.Gosched()
		if seen.Add(1) == 20 {
			s.answer(t, m)
			s.stopChain(t)
		}
		return nil
	})
	for range 20 {
		broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	}
	s.beginChain(t, f)
	<-s.ended
	if most.Load() != 1 || seen.Load() != 20 {
		t.Errorf("%d messages handed over, %d at a time; want 20, 1 at a time", seen.Load(), most.Load())
	}
}

func TestRestartedServiceGetsWhatItHadNotAnswered(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	got := make(chan string, 10)
	collect := func(_ context.Context, m *pb.MicroserviceCommunication) error {
		got <- string(m.GetResult())
		return nil // one of two, which it waits for
	}
	crashing := startFirst(t, collect)
	s.beginChain(t, crashing)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", "UVA's"))
	if text := <-got; text != "UVA's" {
		t.Fatalf("got %s", text)
	}
	crashing.server.Stop()
	restarted := startFirst(t, collect)
	s.beginChain(t, restarted)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", "VU's"))
	both := []string{<-got, <-got}
	if slices.Sort(both); !slices.Equal(both, []string{"UVA's", "VU's"}) {
		t.Errorf("the service's second life got %q, want both messages", both)
	}
	if most := broker.queue(jobQueue).most; most != 1 {
		t.Errorf("the queue had %d consumers at once, want never more than 1", most)
	}
	s.answer(t, data("C1", "both"))
	s.stopChain(t)
	<-s.ended
	if left := broker.ready(t, jobQueue); left != nil {
		t.Errorf("job queue still has %q", left)
	}
}

func TestBrokerThatComesBackHandsNothingOverTwice(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	got := make(chan string, 10)
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		got <- string(m.GetResult())
		return nil
	})
	s.beginChain(t, f)
	// Two providers may well send the same rows.
	broker.put(t, jobQueue, microserviceCommunication, data("C1", "same"))
	broker.put(t, jobQueue, microserviceCommunication, data("C1", "same"))
	<-got
	<-got
	for _, after := range []string{"after", "after the second time"} {
		broker.drop()
		broker.put(t, jobQueue, microserviceCommunication, data("C1", after))
		if text := <-got; text != after {
			t.Errorf("got %q again", text)
		}
	}
	s.answer(t, data("C1", "all"))
	s.stopChain(t)
	<-s.ended
	if left := broker.ready(t, jobQueue); left != nil {
		t.Errorf("job queue still has %q", left)
	}
}

func TestBrokerThatGoesAwayDuringACall(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		back bool // the sidecar consumes again before the chain answers
	}{{"answer after the redelivery", true}, {"answer before the redelivery", false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker := withQueues(t, jobQueue, agentQueue)
			s := startSidecar(t, broker)
			begun, proceed := make(chan struct{}, 10), make(chan struct{})
			f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
				begun <- struct{}{}
				<-proceed
				s.answer(t, m)
				s.stopChain(t)
				return nil
			})
			s.beginChain(t, f)
			broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
			<-begun
			<-broker.consumed
			broker.drop()
			if test.back {
				<-broker.consumed
			}
			close(proceed)
			if err := <-s.ended; err != nil {
				t.Errorf("sidecar ended with %v", err)
			}
			if left := broker.ready(t, jobQueue); left != nil {
				t.Errorf("job queue has %q, which the next Pod would answer again", left)
			}
			if n := len(broker.answers(t)); n != 1 || len(begun) != 0 {
				t.Errorf("%d answers, and %d more calls of the chain; want 1 answer of 1 call", n, len(begun))
			}
		})
	}
}

func TestMessageThatTheFirstServiceRefused(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	got := make(chan struct{}, 10)
	f := startFirst(t, func(context.Context, *pb.MicroserviceCommunication) error {
		got <- struct{}{}
		return status.Error(codes.Unavailable, "works on it since the sidecar's former life")
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	<-got
	refused := func() bool {
		s.server.job.mu.Lock()
		defer s.server.job.mu.Unlock()
		return s.server.job.held[0].refused
	}
	for !refused() {
		runtime.Gosched()
	}
	broker.drop()
	<-got // the chain may have come to need it meanwhile
	s.answer(t, data("C1", "42"))
	s.stopChain(t)
	<-s.ended
	if left := broker.ready(t, jobQueue); left != nil {
		t.Errorf("job queue still has %q, which was answered", left)
	}
}

func TestDeletedQueueEndsAChainThatHangs(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	begun := make(chan struct{})
	f := startFirst(t, func(ctx context.Context, _ *pb.MicroserviceCommunication) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	<-begun
	b, err := broker.dial(t.Context())
	if err == nil {
		err = b.Delete(jobQueue)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		t.Errorf("sidecar ended with %v", err)
	}
}

func TestChainThatFailsIsAnswered(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	f := startFirst(t, func(context.Context, *pb.MicroserviceCommunication) error {
		return status.Error(codes.Internal, "sql-query: the next service did not listen")
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	if err := <-s.ended; err != nil {
		t.Errorf("sidecar ended with %v", err)
	}
	answers := broker.answers(t)
	if len(answers) != 1 || answers[0].GetMetadata()["error"] != "sql-query: the next service did not listen" {
		t.Errorf("answers %v, want one with the error", answers)
	}
}

func TestMessagesThatAreNoneAreRejected(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		s.answer(t, m)
		s.stopChain(t)
		return nil
	})
	s.beginChain(t, f)
	for i := range 3 {
		broker.put(t, jobQueue, fmt.Sprint("unknown", i), data("X", ""))
	}
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	<-s.ended
	if left := broker.queue(jobQueue).ready; len(left) != 0 {
		t.Errorf("job queue still has %d messages", len(left))
	}
}

func TestPodThatEndsLeavesItsMessage(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	arrived := make(chan struct{})
	f := startFirst(t, func(ctx context.Context, m *pb.MicroserviceCommunication) error {
		close(arrived)
		<-ctx.Done() // the Pod's end, seen from a service
		return ctx.Err()
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	<-arrived
	s.cancel()
	if err := <-s.ended; !errors.Is(err, errUnanswered) {
		t.Errorf("sidecar ended with %v, want that another pod has to answer", err)
	}
	if left := broker.ready(t, jobQueue); !slices.Equal(left, []string{"C1"}) {
		t.Errorf("job queue has %q, want C1", left)
	}
}

// A service whose Pod ends may still come to its end, and finds nobody to hand its message to.
func TestPodThatEndsLeavesWhatItsChainCouldNotFinish(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	arrived := make(chan struct{})
	f := startFirst(t, func(context.Context, *pb.MicroserviceCommunication) error {
		close(arrived)
		<-s.server.stopped
		return status.Error(codes.Internal, "sql-query: the sidecar refused the message")
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	<-arrived
	s.cancel()
	if err := <-s.ended; !errors.Is(err, errUnanswered) {
		t.Errorf("sidecar ended with %v, want that another pod has to answer", err)
	}
	if left := broker.ready(t, jobQueue); !slices.Equal(left, []string{"C1"}) {
		t.Errorf("job queue has %q, want C1", left)
	}
	if answers := broker.answers(t); len(answers) != 0 {
		t.Errorf("answers %v, want none", answers)
	}
}

func TestPodThatEndsWhileItsAnswerCouldNotBeSent(t *testing.T) {
	t.Parallel()
	broker := withQueues(t, jobQueue, agentQueue)
	s := startSidecar(t, broker)
	unsent := make(chan error, 1)
	f := startFirst(t, func(_ context.Context, m *pb.MicroserviceCommunication) error {
		broker.mu.Lock()
		broker.max = 1
		broker.mu.Unlock()
		_, err := pb.NewMicroserviceClient(s).SendData(t.Context(), m)
		unsent <- err
		<-s.server.stopped
		return err
	})
	s.beginChain(t, f)
	broker.put(t, jobQueue, microserviceCommunication, data("C1", ""))
	if err := <-unsent; err == nil {
		t.Fatal("the answer was sent")
	}
	s.cancel()
	if err := <-s.ended; !errors.Is(err, errUnanswered) {
		t.Errorf("sidecar ended with %v, want that another pod has to answer", err)
	}
	if left := broker.ready(t, jobQueue); !slices.Equal(left, []string{"C1"}) {
		t.Errorf("job queue has %q, want C1", left)
	}
}
