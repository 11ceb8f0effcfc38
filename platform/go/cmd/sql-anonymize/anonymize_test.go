package main

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

func TestAnonymize(t *testing.T) {
	t.Parallel()
	build := func(columns map[string]any) *structpb.Struct {
		s, err := structpb.NewStruct(columns)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	got := build(map[string]any{
		"Gebdat":   []any{"19621210", "1962", "", "nan"},
		"Ingdatdv": []any{"20051022", "éééééé", "2005-10-22", "20"},
		"Peildat":  []any{"20221231", "20221231", "20221231", "20221231"},
	})
	want := build(map[string]any{
		"Gebdat":   []any{"1962", "1962", "", "nan"},
		"Ingdatdv": []any{"2005", "éééé", "2005", "20"},
		"Peildat":  []any{"20221231", "20221231", "20221231", "20221231"},
	})
	anonymize(got)
	if !proto.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	anonymize(nil) // a message without data
}
