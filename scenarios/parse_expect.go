package scenarios

// expect reads what must come back. Without a count there must be exactly the listed responses.
func (d *decoder) expect(n *node, into *Expect) {
	into.place = n
	d.fields(n, "expect", nil, map[string]func(*node){
		"status": d.natural(&into.Status),
		"count":  d.natural(&into.Count),
		"body":   d.text(&into.Body),
		"responses": func(n *node) {
			if !d.is(n, aList, "responses") {
				return
			}
			for _, item := range n.items {
				into.Responses = append(into.Responses, d.response(item))
			}
		},
	})
	switch listed := n.get("responses"); {
	case listed == nil:
	case n.get("count") == nil:
		into.Count = len(into.Responses)
	case into.Count >= 0 && into.Count < len(into.Responses):
		d.fail(n.get("count"), "", "count is %d, but %d responses are listed", into.Count, len(into.Responses))
	}
}

func (d *decoder) response(n *node) Response {
	r := Response{place: n}
	d.fields(n, "a response", nil, map[string]func(*node){
		"json":  func(n *node) { r.json = n },
		"table": func(n *node) { r.table = d.table(n) },
		"text": func(n *node) {
			if d.is(n, aString, "text") {
				r.Text = &n.text
			}
		},
		"empty": func(n *node) {
			if !d.is(n, aBool, "empty") {
				return
			}
			if !n.truth {
				d.fail(n, "leave it out", "empty: false expects nothing: a response that is empty fails anyway")
			}
			r.Empty = n.truth
		},
		"tolerance": func(n *node) {
			if n.kind != aNumber || n.number < 0 {
				d.fail(n, "", "tolerance must be a number, not negative")
				return
			}
			r.Tolerance = n.number
		},
	})
	if n.kind != aMapping {
		return r
	}
	forms := 0
	for _, name := range []string{"json", "table", "text", "empty"} {
		if n.get(name) != nil {
			forms++
		}
	}
	if forms != 1 {
		d.fail(n, "", "a response needs one of json, table, text and empty")
	}
	return r
}

func (d *decoder) table(n *node) *table {
	t := &table{rows: -1, place: n}
	d.fields(n, "table", nil, map[string]func(*node){
		"columns": func(n *node) {
			if !d.is(n, aList, "columns") {
				return
			}
			t.columns = []string{}
			for _, item := range n.items {
				if d.is(item, aString, "a column") {
					t.columns = append(t.columns, item.text)
				}
			}
		},
		"rows": d.natural(&t.rows),
		"contains": func(n *node) {
			if !d.is(n, aList, "contains") {
				return
			}
			for _, item := range n.items {
				if d.is(item, aMapping, "a row") {
					t.contains = append(t.contains, item)
				}
			}
		},
	})
	return t
}
