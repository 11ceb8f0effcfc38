package main

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

func data(t *testing.T, columns map[string][]any) *structpb.Struct {
	t.Helper()
	fields := make(map[string]any, len(columns))
	for name, cells := range columns {
		fields[name] = cells
	}
	s, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCompute(t *testing.T) {
	t.Parallel()
	average := &pb.SqlDataRequest{Algorithm: "average"}
	for _, test := range []struct {
		name    string
		request *pb.SqlDataRequest
		columns map[string][]any
		want    string
		err     string
	}{
		{
			name:    "means of both groups",
			request: average,
			columns: map[string][]any{"Geslacht": {"M", "V", "M", "V", "V"}, "Salschal": {"10", "11", "11", "9", "9.5"}},
			want:    `{"avg_salary_scale_men":"10.500","avg_salary_scale_women":"9.833"}`,
		},
		{
			name:    "a group that nobody is in has no mean",
			request: average,
			columns: map[string][]any{"Geslacht": {"V", "X"}, "Salschal": {"8", "100"}},
			want:    `{"avg_salary_scale_women":"8.000"}`,
		},
		{
			name:    "salaries that are no numbers don't count",
			request: average,
			columns: map[string][]any{"Geslacht": {"M", "M", "M", "M", "M"}, "Salschal": {"", "nan", "None", "inf", "7"}},
			want:    `{"avg_salary_scale_men":"7.000"}`,
		},
		{
			name:    "no rows",
			request: average,
			columns: map[string][]any{"Geslacht": {}, "Salschal": {}},
			want:    `{}`,
		},
		{
			name:    "missing column is named",
			request: average,
			columns: map[string][]any{"Geslacht": {"M"}},
			err:     "Salschal",
		},
		{
			name:    "columns that don't match",
			request: average,
			columns: map[string][]any{"Geslacht": {"M", "V"}, "Salschal": {"1"}},
			err:     "2 rows",
		},
		{
			name:    "table by column name, each row once",
			request: &pb.SqlDataRequest{},
			columns: map[string][]any{"b": {"1", "2"}, "a": {"<x>", `"y"`}},
			want:    `[["a","b"],["<x>","1"],["\"y\"","2"]]`,
		},
		{
			name:    "table without rows keeps its columns",
			request: &pb.SqlDataRequest{},
			columns: map[string][]any{"a": {}},
			want:    `[["a"]]`,
		},
		{
			name:    "table without anything",
			request: &pb.SqlDataRequest{Algorithm: "other"},
			want:    `[[]]`,
		},
		{
			name:    "graph goes before the algorithm",
			request: &pb.SqlDataRequest{Algorithm: "average", Options: map[string]bool{"graph": true}},
			columns: map[string][]any{"b": {"1", "2"}, "a": {"x", "y"}},
			want:    `{"a":["x","y"],"b":["1","2"]}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := compute(test.request, data(t, test.columns))
			switch {
			case test.err != "":
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error = %v, want one with %q", err, test.err)
				}
			case err != nil:
				t.Error(err)
			case string(got) != test.want:
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
