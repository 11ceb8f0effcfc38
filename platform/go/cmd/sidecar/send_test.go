package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
)

func TestWhereMessagesGo(t *testing.T) {
	t.Parallel()
	metadata := &pb.RequestMetadata{CorrelationId: "C1", DestinationQueue: "to", ReturnAddress: "back"}
	for _, test := range []struct {
		kind        string
		queue       string
		correlation string
		send        func(context.Context, *server) (proto.Message, error)
	}{
		{requestApproval, "to", "", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.RequestApproval{Type: "sqlDataRequest", DestinationQueue: "to"}
			_, err := s.SendRequestApproval(ctx, m)
			return m, err
		}},
		{validationResponse, "orchestrator-in", "", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.ValidationResponse{Type: "policyUpdate"}
			_, err := s.SendValidationResponse(ctx, m)
			return m, err
		}},
		{compositionRequest, "to", "", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.CompositionRequest{DestinationQueue: "to"}
			_, err := s.SendCompositionRequest(ctx, m)
			return m, err
		}},
		{requestApprovalResponse, "to", "", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.RequestApprovalResponse{RequestMetadata: metadata}
			_, err := s.SendRequestApprovalResponse(ctx, m)
			return m, err
		}},
		{sqlDataRequest, "to", "C1", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.SqlDataRequest{RequestMetadata: metadata}
			_, err := s.SendSqlDataRequest(ctx, m)
			return m, err
		}},
		{policyUpdate, "to", "C1", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.PolicyUpdate{RequestMetadata: metadata}
			_, err := s.SendPolicyUpdate(ctx, m)
			return m, err
		}},
		{microserviceCommunication, "to", "C1", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.MicroserviceCommunication{Type: microserviceCommunication, RequestMetadata: metadata}
			_, err := s.SendMicroserviceComm(ctx, m)
			return m, err
		}},
		{microserviceCommunication, "back", "C1", func(ctx context.Context, s *server) (proto.Message, error) {
			m := &pb.MicroserviceCommunication{RequestMetadata: metadata}
			_, err := s.SendData(ctx, m)
			return m, err
		}},
	} {
		t.Run(test.kind+" to "+test.queue, func(t *testing.T) {
			t.Parallel()
			broker := withQueues(t, "to", "back", "orchestrator-in")
			message, err := test.send(t.Context(), newServer(broker.dial))
			if err != nil {
				t.Fatal(err)
			}
			if n := len(broker.queue(test.queue).ready); n != 1 {
				t.Errorf("%d messages in queue %s, want 1", n, test.queue)
			}
			got := broker.published[0]
			if got.Type != test.kind || got.CorrelationId != test.correlation {
				t.Errorf("type %q, correlation id %q, want %q and %q", got.Type, got.CorrelationId, test.kind, test.correlation)
			}
			if want, _ := proto.Marshal(message); !bytes.Equal(got.Body, want) {
				t.Errorf("body %x, want %x", got.Body, want)
			}
			if _, asJSON := got.Headers[rpc.JSONTrace]; asJSON != (test.kind == microserviceCommunication) {
				t.Errorf("json trace: %v", asJSON)
			}
		})
	}
}

func TestHeadersAreByteArrays(t *testing.T) {
	t.Parallel()
	trace := rpc.Trace{ID: [16]byte{0xab, 15: 1}, Span: [8]byte{0xcd, 7: 2}, Flags: 1}
	p, err := encode(microserviceCommunication, "C1", trace, &pb.MicroserviceCommunication{})
	if err != nil {
		t.Fatal(err)
	}
	binary, ok := p.Headers["binaryTrace"].([]byte)
	if got, want := hex.EncodeToString(binary), "0000ab00000000000000000000000000000101cd000000000000020201"; !ok || got != want {
		t.Errorf("binaryTrace %s (%v), want %s", got, ok, want)
	}
	text, ok := p.Headers["jsonTrace"].([]byte)
	if want := `{"SpanID":"cd00000000000002","TraceID":"ab000000000000000000000000000001"}`; !ok || string(text) != want {
		t.Errorf("jsonTrace %s (%v), want %s", text, ok, want)
	}
	if err := p.Headers.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTraceOfAMessage(t *testing.T) {
	t.Parallel()
	of := func(b byte) rpc.Trace { return rpc.Trace{ID: [16]byte{b}, Span: [8]byte{b}, Flags: 1} }
	for _, test := range []struct {
		name    string
		message map[string][]byte
		call    bool
		want    byte
	}{
		{"its own", of(1).Traces(), true, 1},
		{"the call's", nil, true, 2},
		{"the call's, its own is broken", map[string][]byte{rpc.BinaryTrace: {1, 2}}, true, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker := withQueues(t, "q")
			ctx := t.Context()
			if test.call {
				ctx = rpc.WithTrace(ctx, of(2))
			}
			m := &pb.MicroserviceCommunication{Traces: test.message, RequestMetadata: &pb.RequestMetadata{ReturnAddress: "q"}}
			if _, err := newServer(broker.dial).SendData(ctx, m); err != nil {
				t.Fatal(err)
			}
			got, ok := rpc.TraceOf(traces(broker.published[0].Headers))
			if !ok || got != of(test.want) {
				t.Errorf("trace %+v, want %d's", got, test.want)
			}
		})
	}
}

func TestSendWaits(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		before func(*fakeBroker)
		after  func(*fakeBroker) // 2 s into the send; nil if it never gets better
		code   codes.Code
		took   time.Duration // at most
	}{
		{"for its queue", func(*fakeBroker) {}, func(f *fakeBroker) { f.queues["q"] = &fakeQueue{} }, codes.OK, 3 * time.Second},
		{"for the broker", func(f *fakeBroker) { f.away, f.queues["q"] = true, &fakeQueue{} }, func(f *fakeBroker) { f.away = false }, codes.OK, 3 * time.Second},
		{"not forever for its queue", func(*fakeBroker) {}, nil, codes.NotFound, dataTimeout},
		{"not forever for the broker", func(f *fakeBroker) { f.away = true }, nil, codes.Unavailable, dataTimeout},
		{"not for what is refused", func(f *fakeBroker) { f.max, f.queues["q"] = 1, &fakeQueue{} }, nil, codes.FailedPrecondition, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				broker := newFakeBroker()
				test.before(broker)
				if test.after != nil {
					time.AfterFunc(2*time.Second, func() {
						broker.mu.Lock()
						defer broker.mu.Unlock()
						test.after(broker)
					})
				}
				begun := time.Now()
				m := &pb.SqlDataRequest{RequestMetadata: &pb.RequestMetadata{DestinationQueue: "q"}}
				_, err := newServer(broker.dial).SendSqlDataRequest(t.Context(), m)
				if status.Code(err) != test.code {
					t.Errorf("error = %v, want %s", err, test.code)
				}
				if took := time.Since(begun); took > test.took {
					t.Errorf("took %v, want %v at most", took, test.took)
				}
			})
		})
	}
}

// fakeChannel is an AMQP channel of which a test plays the broker.
type fakeChannel struct {
	sequence uint64
	ids      map[uint64]string
	returns  chan amqp.Return
	confirms chan amqp.Confirmation
	closed   chan *amqp.Error
	writing  chan struct{} // if set, a publication begins with sending here, and ends with receiving
}

func (c *fakeChannel) GetNextPublishSeqNo() uint64 { return c.sequence + 1 }
func (c *fakeChannel) PublishWithContext(_ context.Context, _, _ string, mandatory, _ bool, m amqp.Publishing) error {
	if !mandatory {
		return errors.New("not mandatory: nobody would hear of a missing queue")
	}
	if c.writing != nil {
		c.writing <- struct{}{}
		<-c.writing
	}
	c.sequence++
	c.ids[c.sequence] = m.MessageId
	return nil
}
func (c *fakeChannel) NotifyReturn(r chan amqp.Return) chan amqp.Return { c.returns = r; return r }
func (c *fakeChannel) NotifyPublish(r chan amqp.Confirmation) chan amqp.Confirmation {
	c.confirms = r
	return r
}
func (c *fakeChannel) NotifyClose(r chan *amqp.Error) chan *amqp.Error { c.closed = r; return r }
func (c *fakeChannel) Close() error                                    { return nil }

func (c *fakeChannel) end(reason *amqp.Error) {
	if reason != nil {
		c.closed <- reason
	}
	close(c.closed)
	close(c.returns)
	close(c.confirms)
}

func TestPublisherTellsEachMessagesOutcome(t *testing.T) {
	t.Parallel()
	channel := &fakeChannel{ids: map[uint64]string{}}
	p := newPublisher(channel)
	var outcomes []<-chan error
	for range 5 {
		outcome, err := p.begin(t.Context(), "q", amqp.Publishing{})
		if err != nil {
			t.Fatal(err)
		}
		outcomes = append(outcomes, outcome)
	}
	// A broker answers in any order, but returns a message before it confirms it.
	channel.returns <- amqp.Return{ReplyCode: amqp.NoRoute, MessageId: channel.ids[2]}
	channel.returns <- amqp.Return{ReplyCode: amqp.NoConsumers, ReplyText: "why", MessageId: channel.ids[4]}
	for _, c := range []amqp.Confirmation{{DeliveryTag: 4, Ack: true}, {DeliveryTag: 1, Ack: true}, {DeliveryTag: 3}, {DeliveryTag: 2, Ack: true}} {
		channel.confirms <- c
	}
	for i, want := range []error{nil, errNoRoute, errNacked, errRefused} {
		if got := <-outcomes[i]; !errors.Is(got, want) {
			t.Errorf("message %d: %v, want %v", i+1, got, want)
		}
	}
	// Returned once means nothing for the next.
	if p.ended() {
		t.Error("publisher ended by itself")
	}
	channel.end(nil)
	if got := <-outcomes[4]; !errors.Is(got, errLost) {
		t.Errorf("message without an answer: %v, want %v", got, errLost)
	}
	if _, err := p.begin(t.Context(), "q", amqp.Publishing{}); !errors.Is(err, errLost) || !p.ended() {
		t.Errorf("publish on an ended channel: %v", err)
	}
}

func TestSlowWriteHoldsUpNoConfirm(t *testing.T) {
	t.Parallel()
	channel := &fakeChannel{ids: map[uint64]string{}}
	p := newPublisher(channel)
	first, err := p.begin(t.Context(), "q", amqp.Publishing{})
	if err != nil {
		t.Fatal(err)
	}
	channel.writing = make(chan struct{})
	second := make(chan error, 1)
	go func() { second <- p.publish(t.Context(), "q", amqp.Publishing{}) }()
	<-channel.writing
	channel.confirms <- amqp.Confirmation{DeliveryTag: 1, Ack: true}
	select {
	case err := <-first:
		if err != nil {
			t.Errorf("first message: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the first message's confirm waits for the second to be written")
	}
	channel.writing <- struct{}{}
	channel.confirms <- amqp.Confirmation{DeliveryTag: 2, Ack: true}
	if err := <-second; err != nil {
		t.Errorf("second message: %v", err)
	}
}

func TestPublisherTellsTooLargeFromLost(t *testing.T) {
	t.Parallel()
	channel := &fakeChannel{ids: map[uint64]string{}}
	p := newPublisher(channel)
	outcome, err := p.begin(t.Context(), "q", amqp.Publishing{})
	if err != nil {
		t.Fatal(err)
	}
	channel.end(&amqp.Error{Code: amqp.PreconditionFailed, Reason: "message size 2 is larger than 1"})
	if got := <-outcome; !errors.Is(got, errRefused) || errors.Is(got, errLost) {
		t.Errorf("error = %v, want %v", got, errRefused)
	}
}
