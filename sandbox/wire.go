package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
)

// Errors cross the control socket with what their receiver decides by: which file is wrong where, that nothing runs, that
// it was asked to stop. The text of others is all that people get to see.

// ErrUnknownName is the error of a name that nothing has: no service, no scenario.
var ErrUnknownName = errors.New("nothing has that name")

// failed turns an error into what gRPC carries. Nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	if invalid := fault.AsInvalids(err); invalid != nil {
		return detailed(codes.InvalidArgument, err, invalid)
	}
	var lacks *LacksError
	if errors.As(err, &lacks) {
		return detailed(codes.NotFound, err, lacks)
	}
	code := codes.Unknown
	switch {
	case errors.Is(err, ErrStopped), errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, ErrNotReady):
		code = codes.FailedPrecondition
	case errors.Is(err, ErrNotBroughtIn):
		code = codes.Aborted
	case errors.Is(err, ErrStale):
		code = codes.OutOfRange
	case errors.Is(err, cluster.ErrOtherOwner):
		code = codes.AlreadyExists
	case errors.Is(err, ErrUnknownName):
		code = codes.NotFound
	case errors.Is(err, tracing.ErrNone):
		code = codes.DataLoss
	}
	return status.Error(code, err.Error())
}

// detailed is an error with a value that its receiver makes the same error of.
func detailed(code codes.Code, err error, value any) error {
	st := status.New(code, err.Error())
	if b, jsonErr := json.Marshal(value); jsonErr == nil {
		if with, detailErr := st.WithDetails(wrapperspb.Bytes(b)); detailErr == nil {
			st = with
		}
	}
	return st.Err()
}

// worded is an error with a text of its own: one of the session's arrives with its whole text, and is what it was there.
type worded struct {
	text string
	is   error
}

func (e worded) Error() string { return e.text }
func (e worded) Unwrap() error { return e.is }

// told is the opposite of [failed].
func told(err error) error {
	s, ok := status.FromError(err)
	if !ok || err == nil {
		return err
	}
	switch s.Code() {
	case codes.Unavailable:
		return fmt.Errorf("%w any more: it ended while it was asked", ErrNoSession)
	case codes.Canceled:
		if s.Message() == ErrStopped.Error() {
			return ErrStopped
		}
		return context.Canceled
	case codes.FailedPrecondition:
		return ErrNotReady
	case codes.NotFound:
		for _, d := range s.Details() {
			var lacks LacksError
			if b, ok := d.(*wrapperspb.BytesValue); ok && json.Unmarshal(b.GetValue(), &lacks) == nil {
				return &lacks
			}
		}
		return worded{s.Message(), ErrUnknownName}
	case codes.Aborted:
		return worded{s.Message(), ErrNotBroughtIn}
	case codes.OutOfRange:
		return worded{s.Message(), ErrStale}
	case codes.AlreadyExists:
		return worded{s.Message(), cluster.ErrOtherOwner}
	case codes.DataLoss:
		return worded{s.Message(), tracing.ErrNone}
	case codes.InvalidArgument:
		for _, d := range s.Details() {
			var invalid fault.Invalids
			if b, ok := d.(*wrapperspb.BytesValue); ok && json.Unmarshal(b.GetValue(), &invalid) == nil {
				return invalid
			}
		}
	}
	return errors.New(s.Message())
}
