package main

import "google.golang.org/protobuf/types/known/structpb"

// dates are the columns that say a person's dates, as YYYYMMDD.
var dates = []string{"Gebdat", "Ingdatdv"}

// yearLength is what stays of a date, in characters.
const yearLength = 4

// anonymize cuts the dates to their years, in place.
func anonymize(data *structpb.Struct) {
	for _, name := range dates {
		values := data.GetFields()[name].GetListValue().GetValues()
		for i, value := range values {
			if text := []rune(value.GetStringValue()); len(text) > yearLength {
				values[i] = structpb.NewStringValue(string(text[:yearLength]))
			}
		}
	}
}
