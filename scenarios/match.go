package scenarios

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// match returns in what a response differs from what is expected of it; nothing when it matches. Each difference
// names the place in the scenario.
func (r Response) match(got string) []string {
	switch {
	case r.Empty:
		if got != "" {
			return []string{fmt.Sprintf("%s: want an empty response, got %s", r.place.place(), clip(got))}
		}
		return nil
	case r.Text != nil:
		if got != *r.Text {
			return []string{fmt.Sprintf("%s: want the text %s, got %s", r.place.place(), clip(*r.Text), clip(got))}
		}
		return nil
	case r.json == nil && r.table == nil:
		return []string{fmt.Sprintf("%s: nothing is expected: want one of json, table, text and empty", r.place.place())}
	case got == "":
		return []string{fmt.Sprintf("%s: the response is empty: a service failed or took too long", r.place.place())}
	}
	var value any
	if err := json.Unmarshal([]byte(got), &value); err != nil {
		return []string{fmt.Sprintf("%s: want JSON, got %s", r.place.place(), clip(got))}
	}
	if r.table != nil {
		return r.table.match(value, r.Tolerance)
	}
	return matchValue(r.json, value, "response", r.Tolerance)
}

// matchValue compares a value of the scenario with one that came. what names it in messages.
func matchValue(want *node, got any, what string, tolerance float64) []string {
	differs := func() []string {
		return []string{fmt.Sprintf("%s: %s: want %s, got %s", want.place(), what, want.show(tolerance), show(got))}
	}
	switch want.kind {
	case aMapping:
		object, ok := got.(map[string]any)
		if !ok {
			return differs()
		}
		var diffs []string
		for _, m := range want.members {
			v, ok := object[m.key.text]
			if !ok {
				diffs = append(diffs, fmt.Sprintf("%s: %s has no %q, want %s", m.key.place(), what, m.key.text, m.value.show(tolerance)))
				continue
			}
			diffs = append(diffs, matchValue(m.value, v, what+"."+m.key.text, tolerance)...)
		}
		var surplus []string
		for key := range object {
			if want.get(key) == nil {
				surplus = append(surplus, key)
			}
		}
		slices.Sort(surplus)
		for _, key := range surplus {
			diffs = append(diffs, fmt.Sprintf("%s: %s has also %q = %s", want.place(), what, key, show(object[key])))
		}
		return diffs
	case aList:
		list, ok := got.([]any)
		if !ok {
			return differs()
		}
		if len(list) != len(want.items) {
			return []string{fmt.Sprintf("%s: %s: want %d elements, got %d", want.place(), what, len(want.items), len(list))}
		}
		var diffs []string
		for i, item := range want.items {
			diffs = append(diffs, matchValue(item, list[i], fmt.Sprintf("%s[%d]", what, i), tolerance)...)
		}
		return diffs
	case aNumber:
		if n, ok := numberOf(got); !ok || math.Abs(n-want.number) > tolerance+rounding(want.number) {
			return differs()
		}
		return nil
	}
	if got != want.plain() {
		return differs()
	}
	return nil
}

// rounding forgives what is lost when a decimal tolerance is added to a decimal number in binary (0.3 is within
// 0.1 of 0.2).
func rounding(n float64) float64 { return 1e-12 * max(1, math.Abs(n)) }

// numberOf reads a number, also one inside a string: that is how the services send them.
func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil && !math.IsNaN(n)
	}
	return 0, false
}

// match compares a table, whose columns come in random order.
func (t *table) match(got any, tolerance float64) []string {
	names, rows, ok := tableOf(got)
	if !ok {
		return []string{fmt.Sprintf("%s: want a list of rows, the first with the columns' names, got %s", t.place.place(), show(got))}
	}
	var diffs []string
	if t.columns != nil {
		want, have := slices.Sorted(slices.Values(t.columns)), slices.Sorted(slices.Values(names))
		if !slices.Equal(want, have) {
			diffs = append(diffs, fmt.Sprintf("%s: want the columns %s, got %s", t.place.place(), strings.Join(want, ", "), strings.Join(have, ", ")))
		}
	}
	if t.rows >= 0 && len(rows) != t.rows {
		diffs = append(diffs, fmt.Sprintf("%s: want %d rows, got %d", t.place.place(), t.rows, len(rows)))
	}
	for _, want := range t.contains {
		if !slices.ContainsFunc(rows, func(row []any) bool { return rowHas(want, names, row, tolerance) }) {
			diffs = append(diffs, fmt.Sprintf("%s: no row has %s", want.place(), want.show(tolerance)))
		}
	}
	return diffs
}

func tableOf(v any) (names []string, rows [][]any, ok bool) {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, nil, false
	}
	for i, item := range list {
		row, ok := item.([]any)
		if !ok || i > 0 && len(row) != len(names) {
			return nil, nil, false
		}
		if i > 0 {
			rows = append(rows, row)
			continue
		}
		for _, cell := range row {
			name, ok := cell.(string)
			if !ok {
				return nil, nil, false
			}
			names = append(names, name)
		}
	}
	return names, rows, true
}

func rowHas(want *node, names []string, row []any, tolerance float64) bool {
	for _, m := range want.members {
		i := slices.Index(names, m.key.text)
		if i < 0 || matchValue(m.value, row[i], "", tolerance) != nil {
			return false
		}
	}
	return true
}

// show is a value of the scenario in a message.
func (n *node) show(tolerance float64) string {
	if n.kind == aNumber && tolerance > 0 {
		return fmt.Sprintf("%v ± %v", n.number, tolerance)
	}
	return show(n.plain())
}

func show(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return clipped(string(b))
}

// clip quotes text for a message, shortened: a response may have thousands of rows.
func clip(s string) string { return strconv.Quote(clipped(s)) }

func clipped(s string) string {
	const limit = 1000 // characters: an error that the platform answers is shown whole
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + fmt.Sprintf("... (%d characters)", len(r))
	}
	return s
}
