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
	case codes.NotFound:
		for _, d := range s.Details() {
			var lacks LacksError
			if b, ok := d.(*wrapperspb.BytesValue); ok && json.Unmarshal(b.GetValue(), &lacks) == nil {
				return &lacks
			}
		}
	case codes.Aborted:
		return remoteError{s.Message(), ErrNotBroughtIn}
	case codes.OutOfRange:
		return remoteError{s.Message(), ErrStale}
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
