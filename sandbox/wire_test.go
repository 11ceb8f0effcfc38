package sandbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
)

func TestErrorsCrossTheSocket(t *testing.T) {
	t.Parallel()
	for _, sentinel := range []error{ErrStopped, ErrNotReady, ErrNotBroughtIn, ErrStale, ErrUnknownName, cluster.ErrOtherOwner, tracing.ErrNone, context.Canceled} {
		if got := told(failed(fmt.Errorf("read: %w", sentinel))); !errors.Is(got, sentinel) && sentinel != ErrStopped {
			t.Errorf("%v arrives as %v", sentinel, got)
		}
		if got := told(failed(sentinel)); !errors.Is(got, sentinel) {
			t.Errorf("%v arrives as %v", sentinel, got)
		}
	}
	problems := fault.Invalids{
		{File: "archetype.json", Line: 3, Column: 14, Problem: "want a number", Suggestion: "100"},
		{File: "requestType.json", Problem: "is missing", Warning: true},
	}
	if got := fault.AsInvalids(told(failed(fmt.Errorf("read: %w", problems)))); !reflect.DeepEqual(got, problems) {
		t.Errorf("problems arrive as %v", got)
	}
	lacks := &LacksError{[]images.Lack{{Kind: images.LackImage, Name: "rabbitmq:3", Why: "the broker runs it"}}}
	var arrived *LacksError
	if got := told(failed(fmt.Errorf("read: %w", lacks))); !errors.As(got, &arrived) || !reflect.DeepEqual(arrived, lacks) {
		t.Errorf("what is missing arrives as %v", got)
	}
	if got := told(failed(errors.New("the engine is on fire"))); got.Error() != "the engine is on fire" {
		t.Errorf("an error arrives as %q", got)
	}
	if got := told(status.Error(codes.Unavailable, "connection refused")); !errors.Is(got, ErrNoSession) {
		t.Errorf("a session that has gone: %v", got)
	}
	if told(failed(nil)) != nil {
		t.Error("success arrives as an error")
	}
}
