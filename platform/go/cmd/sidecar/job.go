package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

// unlimited, because a service may need the messages of all data providers before it answers, and the sidecar
// doesn't know how many there are. The queue holds no more than these, and perhaps the next request's.
const unlimited = 0

// job is the sidecar's part in a chain: it hands the messages of the Job's queue to the first service, and sends
// what comes out at the other end to the agent.
//
// A message stays unacknowledged until its request is answered. So a chain that crashes, and is started again, gets
// it anew; and a message for the next request, which the next Pod of the Job has to answer, goes back to the queue
// when this one ends. A Pod answers one request: before the answer is sent the subscription is cancelled, so that
// the request that may follow upon it finds only the next Pod.
type job struct {
	server *server

	// turn is held by the call of the first service. Calls come one after the other: services that count their
	// messages need not be safe for several at the same time.
	turn sync.Mutex

	temporary bool // there is such a part even if no chain has begun yet

	mu       sync.Mutex
	cancel   context.CancelFunc // of the present subscription's context; nil before the first
	handing  *sync.WaitGroup    // the present subscription's goroutines
	first    *grpc.ClientConn   // the present subscription's receiver
	queue    string             // the Job's
	consumer consumer           // nil while there is none
	ending   bool               // nothing more is handed over
	podEnds  bool               // and that because the Pod was told to end
	answered string             // correlation id of the request whose answer is out, or about to be
	held     []*held            // what was delivered and is not acknowledged
}

func newJob(s *server) *job { return &job{server: s} }

// InitRabbitForChain declares the Job's queue, and from then on hands its messages to the first service, at the port
// it names. A first service that was restarted calls it again: what its former life had not answered comes again.
func (s *server) InitRabbitForChain(ctx context.Context, in *pb.ChainRequest) (*emptypb.Empty, error) {
	empty, err := s.declare(ctx, in.GetRoutingKey(), in.GetRoutingKey(), in.GetQueueAutoDelete())
	if err != nil {
		return nil, err
	}
	first, err := rpc.Dial(rpc.Local(int(in.GetPort())))
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if !s.job.begin(in, first) {
		_ = first.Close()
		return nil, status.Error(codes.Unavailable, errEnding.Error())
	}
	return empty, nil
}

// begin replaces the subscription. False means that the job is ending.
func (j *job) begin(in *pb.ChainRequest, first *grpc.ClientConn) bool {
	j.unsubscribe()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ending {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	j.cancel, j.handing, j.first, j.queue, j.held = cancel, new(sync.WaitGroup), first, in.GetRoutingKey(), nil
	handing := j.handing
	handing.Go(func() { j.subscribe(ctx, in, first, handing) })
	return true
}

// unsubscribe ends the present subscription; what is unanswered goes back to the queue.
func (j *job) unsubscribe() {
	j.mu.Lock()
	cancel, handing, first, c := j.cancel, j.handing, j.first, j.consumer
	j.mu.Unlock()
	if cancel == nil {
		return
	}
	cancel()
	if c != nil {
		c.Close()
	}
	handing.Wait()
	_ = first.Close()
}

// subscribe consumes the queue until ctx or the job ends. When the broker goes away it begins again.
func (j *job) subscribe(ctx context.Context, in *pb.ChainRequest, first *grpc.ClientConn, handing *sync.WaitGroup) {
	// The service is waited for while the broker is asked.
	reached := make(chan error, 1)
	handing.Go(func() { reached <- rpc.WaitServing(ctx, first) })
	waitReached := sync.OnceValue(func() error { return <-reached })
	declared := true // by InitRabbitForChain
	for pause := firstPause; ; pause = min(2*pause, maxPause) {
		b, c, err := j.consume(ctx, in, declared)
		declared = false // a broker that was lost may come back without the queue
		if err != nil {
			slog.WarnContext(ctx, "queue not consumed", "queue", in.GetRoutingKey(), "error", err)
		} else {
			if err := waitReached(); err != nil {
				slog.WarnContext(ctx, "first service not reached", "error", err)
				return
			}
			slog.InfoContext(ctx, "consuming", "queue", in.GetRoutingKey(), "port", in.GetPort())
			// The loop never waits for the services: the end of the connection, or of the queue, has to be seen at once.
			for d := range c.Deliveries() {
				if m, message := j.take(ctx, c, &d); m != nil {
					handing.Go(func() { j.handOver(ctx, first, m, message) })
				}
			}
		}
		if j.isEnding() || ctx.Err() != nil {
			return
		}
		if err == nil && !isClosed(b) {
			slog.WarnContext(ctx, "queue deleted, the job is over", "queue", in.GetRoutingKey())
			j.server.stop()
			return
		}
		if sleep(ctx, pause) != nil {
			return
		}
	}
}

func (j *job) consume(ctx context.Context, in *pb.ChainRequest, declared bool) (broker, consumer, error) {
	b, err := j.server.link.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	if !declared {
		if err := b.Declare(in.GetRoutingKey(), in.GetRoutingKey(), in.GetQueueAutoDelete()); err != nil {
			return nil, nil, err
		}
	}
	c, err := b.Consume(in.GetRoutingKey(), unlimited)
	if err != nil {
		return nil, nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ending || ctx.Err() != nil {
		c.Close()
		return nil, nil, errEnding
	}
	j.consumer = c
	return b, c, nil
}

func (j *job) isEnding() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ending
}

func (j *job) podIsEnding() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.podEnds
}

// endWithPod is end for a Pod that was told to end: the next one answers what this one has not.
func (j *job) endWithPod() {
	j.mu.Lock()
	j.podEnds = true
	j.mu.Unlock()
	j.end()
}

// errUnanswered makes the sidecar's end a failure. With all containers ended well the Kubernetes Job would count as done, and
// make no further Pod.
var errUnanswered = errors.New("the pod ends before its request was answered")

// outcome is errUnanswered when another Pod has to answer.
func (j *job) outcome() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.podEnds && (j.temporary || j.queue != "") && j.answered == "" {
		return errUnanswered
	}
	return nil
}

// end stops the subscription at once. What was handed over goes on, and may be answered.
func (j *job) end() {
	j.mu.Lock()
	already, c := j.ending, j.consumer
	j.ending = true
	j.mu.Unlock()
	if c != nil && !already {
		c.Cancel()
	}
}

// returnTimeout is what calls to the first service get to return once the chain's end has said that it is done.
const returnTimeout = 2 * time.Second

// close puts what is unanswered back into the queue.
func (j *job) close() {
	j.mu.Lock()
	cancel, handing := j.cancel, j.handing
	j.mu.Unlock()
	if cancel != nil {
		defer time.AfterFunc(returnTimeout, cancel).Stop()
		handing.Wait()
	}
	j.unsubscribe()
}

// StopReceivingRabbit is the last service's word that the chain is done: the sidecar ends. It may be said twice.
func (s *server) StopReceivingRabbit(context.Context, *pb.StopRequest) (*emptypb.Empty, error) {
	s.job.end()
	s.stop()
	return &emptypb.Empty{}, nil
}
