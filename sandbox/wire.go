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
)

// Errors cross the control socket with what their receiver decides by: which file is wrong where, that nothing runs, that
// it was asked to stop. The text of others is all that people get to see.

// failed turns an error into what gRPC carries. Nil stays nil.
func failed(err error) error {
	if err == nil {
		return nil
	}
	if invalid := fault.AsInvalids(err); invalid != nil {
		st := status.New(codes.InvalidArgument, err.Error())
		if b, jsonErr := json.Marshal(invalid); jsonErr == nil {
			if detailed, detailErr := st.WithDetails(wrapperspb.Bytes(b)); detailErr == nil {
				st = detailed
			}
		}
		return st.Err()
	}
	code := codes.Unknown
	switch {
	case errors.Is(err, ErrStopped), errors.Is(err, context.Canceled):
		code = codes.Canceled
	case errors.Is(err, ErrNotReady):
		code = codes.FailedPrecondition
	case errors.Is(err, cluster.ErrOtherOwner):
		code = codes.AlreadyExists
	}
	return status.Error(code, err.Error())
}

// remoteError has the session's whole text, and is what it was there.
type remoteError struct {
	text string
	is   error
}

func (e remoteError) Error() string { return e.text }
func (e remoteError) Unwrap() error { return e.is }

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
	case codes.AlreadyExists:
		return remoteError{s.Message(), cluster.ErrOtherOwner}
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
