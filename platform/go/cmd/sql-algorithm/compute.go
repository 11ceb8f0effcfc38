package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// The columns of the average, in the names of the data sets.
const (
	genderColumn = "Geslacht" // "M" or "V"
	salaryColumn = "Salschal" // salary scale, a number
)

// compute is the answer in JSON: with option "graph" the columns as they are, with algorithm "average" the mean
// salary scale of men and of women, otherwise the table.
func compute(request *pb.SqlDataRequest, data *structpb.Struct) ([]byte, error) {
	switch {
	case request.GetOptions()["graph"]:
		return graph(data)
	case request.GetAlgorithm() == "average":
		return average(data)
	default:
		return table(data)
	}
}

// graph is an object of columns, each an array. Compact, because protojson's blanks differ from build to build.
func graph(data *structpb.Struct) ([]byte, error) {
	text, err := protojson.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode columns: %w", err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("encode columns: %w", err)
	}
	return compact.Bytes(), nil
}

// average is {"avg_salary_scale_men":"10.596","avg_salary_scale_women":"10.058"}, without the key of a group that
// nobody is in. Rows whose salary is no number don't count.
func average(data *structpb.Struct) ([]byte, error) {
	genders, ok := column(data, genderColumn)
	if !ok {
		return nil, fmt.Errorf("average needs column %s: add it to the query", genderColumn)
	}
	salaries, ok := column(data, salaryColumn)
	if !ok {
		return nil, fmt.Errorf("average needs column %s: add it to the query", salaryColumn)
	}
	if len(genders) != len(salaries) {
		return nil, fmt.Errorf("column %s has %d rows, column %s %d", genderColumn, len(genders), salaryColumn, len(salaries))
	}
	var men, women mean
	for i, gender := range genders {
		salary, err := strconv.ParseFloat(salaries[i], 64)
		if err != nil || math.IsNaN(salary) || math.IsInf(salary, 0) {
			continue
		}
		switch gender {
		case "M":
			men.add(salary)
		case "V":
			women.add(salary)
		}
	}
	answer := map[string]string{}
	men.put(answer, "avg_salary_scale_men")
	women.put(answer, "avg_salary_scale_women")
	return json.Marshal(answer)
}

type mean struct {
	sum   float64
	count int
}

func (m *mean) add(x float64) { m.sum += x; m.count++ }

func (m *mean) put(into map[string]string, key string) {
	if m.count > 0 {
		into[key] = strconv.FormatFloat(m.sum/float64(m.count), 'f', 3, 64)
	}
}

// table is an array of rows, of which the first holds the column names. All cells are strings. Columns are in the
// order of their names: that of the query is lost on the way, and the same request has to give the same answer.
// Cells that a shorter column lacks are empty.
func table(data *structpb.Struct) ([]byte, error) {
	names := slices.Sorted(maps.Keys(data.GetFields()))
	columns := make([][]string, len(names))
	rows := 0
	for i, name := range names {
		columns[i], _ = column(data, name)
		rows = max(rows, len(columns[i]))
	}
	answer := make([][]string, 1, rows+1)
	answer[0] = append([]string{}, names...) // [] even without columns
	for row := range rows {
		cells := make([]string, len(columns))
		for i, column := range columns {
			if row < len(column) {
				cells[i] = column[row]
			}
		}
		answer = append(answer, cells)
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return nil, fmt.Errorf("encode table: %w", err)
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}

// column is one column's cells. False if there is no such column.
func column(data *structpb.Struct, name string) ([]string, bool) {
	value, ok := data.GetFields()[name]
	if !ok {
		return nil, false
	}
	values := value.GetListValue().GetValues()
	cells := make([]string, len(values))
	for i, v := range values {
		cells[i] = v.GetStringValue()
	}
	return cells, true
}
