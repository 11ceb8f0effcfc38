package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

type columns = map[string]any

func message(t *testing.T, id string, c columns) *pb.MicroserviceCommunication {
	t.Helper()
	data, err := structpb.NewStruct(c)
	if err != nil {
		t.Fatal(err)
	}
	return &pb.MicroserviceCommunication{
		Type:            "microserviceCommunication",
		Data:            data,
		RequestMetadata: &pb.RequestMetadata{CorrelationId: id, ReturnAddress: "SURF-in"},
	}
}

func TestAggregate(t *testing.T) {
	t.Parallel()
	list := func(cells ...any) []any { return cells }
	for _, test := range []struct {
		name string
		in   []columns
		want columns
		err  string
	}{
		{
			name: "one message passes",
			in:   []columns{{"a": list("1", "2")}},
			want: columns{"a": list("1", "2")},
		},
		{
			name: "rows of two count once each",
			in:   []columns{{"a": list("1"), "b": list("x")}, {"b": list("y", "z"), "a": list("2", "3")}},
			want: columns{"a": list("1", "2", "3"), "b": list("x", "y", "z")},
		},
		{
			name: "a provider without rows",
			in:   []columns{{"a": list()}, {"a": list("1")}, {"a": list()}},
			want: columns{"a": list("1")},
		},
		{
			name: "different columns",
			in:   []columns{{"a": list("1")}, {"b": list("1")}},
			err:  `["a"] and ["b"]`,
		},
		{
			name: "a column too short",
			in:   []columns{{"a": list("1"), "b": list("1")}, {"a": list("1", "2"), "b": list("1")}},
			err:  "2 rows",
		},
		{
			name: "no list",
			in:   []columns{{"a": "1"}, {"a": "1"}},
			err:  "column a is no list",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var messages []*pb.MicroserviceCommunication
			for _, c := range test.in {
				messages = append(messages, message(t, "C", c))
			}
			got, err := aggregate(t.Context(), messages)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error = %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := message(t, "C", test.want); !proto.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}
