package scaffold

import "testing"

func TestInsertAndRemove(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		at   int
		want string
	}{
		"one line, at the end":      {`{"l": ["a", "b"]}`, 2, `{"l": ["a", "b", "new"]}`},
		"one line, first":           {`{"l": ["a", "b"]}`, 0, `{"l": ["new", "a", "b"]}`},
		"one line, between":         {`{"l": ["a","b"]}`, 1, `{"l": ["a","new","b"]}`},
		"only one item":             {`{"l": ["a"]}`, 1, `{"l": ["a", "new"]}`},
		"blanks inside":             {`{"l": [ "a" ]}`, 0, `{"l": [ "new", "a" ]}`},
		"empty":                     {`{"l": []}`, 0, `{"l": ["new"]}`},
		"lines":                     {"{\n  \"l\": [\n    \"a\",\n    \"b\"\n  ]\n}\n", 1, "{\n  \"l\": [\n    \"a\",\n    \"new\",\n    \"b\"\n  ]\n}\n"},
		"one item in its line":      {"{\n\t\"l\": [\n\t\t\"a\"\n\t]\n}", 1, "{\n\t\"l\": [\n\t\t\"a\",\n\t\t\"new\"\n\t]\n}"},
		"empty, others have lines":  {"{\n  \"o\": [\n    1\n  ],\n    \"l\": []\n}", 0, "{\n  \"o\": [\n    1\n  ],\n    \"l\": [\n      \"new\"\n    ]\n}"},
		"empty, others in one line": {`{"o": [ 1, 2 ], "l": []}`, 0, `{"o": [ 1, 2 ], "l": [ "new" ]}`},
		"Windows lines":             {"{\"l\": [\r\n  \"a\"\r\n]}\r\n", 1, "{\"l\": [\r\n  \"a\",\r\n  \"new\"\r\n]}\r\n"},
		"odd commas":                {"{\"l\": [\"a\" ,\"b\",  \"c\"]}", 3, "{\"l\": [\"a\" ,\"b\",  \"c\" ,\"new\"]}"},
		"odd commas, between":       {"{\"l\": [\"a\" ,\"b\",  \"c\"]}", 2, "{\"l\": [\"a\" ,\"b\" ,\"new\",  \"c\"]}"},
		"brackets in strings":       {`{"x": "[\"]", "l": ["]", ","]}`, 1, `{"x": "[\"]", "l": ["]", "new", ","]}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := readJSON("file", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if err := f.insert(f.root.get("l"), c.at, `"new"`); err != nil {
				t.Fatal(err)
			}
			if got := string(f.data); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
			l := f.root.get("l")
			if err := f.remove(l, l.index("new")); err != nil {
				t.Fatal(err)
			}
			if got := string(f.data); got != c.text {
				t.Errorf("after removing it\n%s\nwant\n%s", got, c.text)
			}
		})
	}
}

func TestInsertMember(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"o": {}}`:                     `{"o": {"new": 1}}`,
		`{"o": {"a": 1}}`:               `{"o": {"a": 1, "new": 1}}`,
		"{\n  \"o\": {\n    \"a\": 1}}": "{\n  \"o\": {\n    \"a\": 1,\n    \"new\": 1}}",
	} {
		f, err := readJSON("file", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		o := f.root.get("o")
		if err := f.insert(o, len(o.members), `"new": 1`); err != nil {
			t.Fatal(err)
		}
		if got := string(f.data); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

// What the model has not is added in its way; what neither has a value for is left out.
func TestLikeAModelThatLacksSomething(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]string{
		`{"name": "a", "weight": 1}`:               `{"name": "new", "weight": 7, "label": "x"}`,
		`{"name": "a"}`:                            `{"name": "new", "weight": 7, "label": "x"}`,
		"{\n  \"Name\": \"a\",\n  \"other\": 1\n}": "{\n  \"Name\": \"new\",\n  \"other\": 1,\n  \"weight\": 7,\n  \"label\": \"x\"\n}",
	} {
		f, err := readJSON("file", []byte(model))
		if err != nil {
			t.Fatal(err)
		}
		if got := f.like(f.root, []field{{"name", "new"}, {"weight", 7}, {"label", "x"}, {"none", nil}}); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
