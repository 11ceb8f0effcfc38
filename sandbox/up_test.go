package sandbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"

	"github.com/dynsandbox/dynsandbox/sandbox/control"
)

type upStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s upStream) Context() context.Context  { return s.ctx }
func (s upStream) Send(*control.Event) error { return nil }

// Who came to a bring-up that runs, which somebody then stops, begins no other.
func TestUpOfOneThatIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := &upRun{feed: newFeed(nil), done: make(chan struct{})}
		s := &session{events: newFeed(nil), up: run}
		came := make(chan error)
		go func() { came <- s.Up(&control.UpRequest{}, upStream{ctx: t.Context()}) }()
		synctest.Wait()
		run.err = ErrStopped
		run.feed.close()
		close(run.done)
		if err := told(<-came); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
		if s.up != run {
			t.Error("there is another")
		}
	})
}
