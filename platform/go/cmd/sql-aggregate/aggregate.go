package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// aggregate is the first message with the rows of all, each once, in the order of arrival. All have to have the same
// columns: rows with cells of another column, or of none, would be worse than no answer.
func aggregate(_ context.Context, messages []*pb.MicroserviceCommunication) (*pb.MicroserviceCommunication, error) {
	all := messages[0]
	if len(messages) == 1 {
		return all, nil
	}
	if err := checkRows(all.GetData()); err != nil {
		return nil, err
	}
	columns := slices.Sorted(maps.Keys(all.GetData().GetFields()))
	for _, m := range messages[1:] {
		if others := slices.Sorted(maps.Keys(m.GetData().GetFields())); !slices.Equal(columns, others) {
			return nil, fmt.Errorf("data providers sent different columns: %q and %q", columns, others)
		}
		if err := checkRows(m.GetData()); err != nil {
			return nil, err
		}
		for _, name := range columns {
			to := all.GetData().GetFields()[name].GetListValue()
			to.Values = append(to.Values, m.GetData().GetFields()[name].GetListValue().GetValues()...)
		}
	}
	return all, nil
}

// checkRows makes sure that all columns are lists of the same length.
func checkRows(data *structpb.Struct) error {
	count, first := -1, ""
	for _, name := range slices.Sorted(maps.Keys(data.GetFields())) { // always the same complaint
		list, ok := data.GetFields()[name].GetKind().(*structpb.Value_ListValue)
		if !ok || list.ListValue == nil {
			return fmt.Errorf("column %s is no list", name)
		}
		n := len(list.ListValue.GetValues())
		if count < 0 {
			count, first = n, name
		}
		if n != count {
			return fmt.Errorf("column %s has %d rows, column %s %d", first, count, name, n)
		}
	}
	return nil
}
