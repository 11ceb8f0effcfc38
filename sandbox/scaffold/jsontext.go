package scaffold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// jsonText is a JSON file that is edited as text. Every edit leaves a whole file, and its values anew.
type jsonText struct {
	name string // as problems name it
	data []byte
	root *value
}

// value is a JSON value, and where it stands.
type value struct {
	span
	kind    byte     // its first byte
	text    string   // of a string
	items   []*value // of a list
	members []member // of an object
}

type member struct{ key, value *value }

// span is a piece of the text.
type span struct{ start, end int }

func readJSON(name string, data []byte) (*jsonText, error) {
	f := &jsonText{name: name, data: data}
	return f, f.parse()
}

func (f *jsonText) parse() error {
	dec := json.NewDecoder(bytes.NewReader(f.data))
	dec.UseNumber()
	root, err := f.read(dec)
	if err != nil {
		return fmt.Errorf("read %s: %w", f.name, err)
	}
	f.root = root
	return nil
}

func (f *jsonText) read(dec *json.Decoder) (*value, error) {
	start := int(dec.InputOffset())
	start += len(f.data[start:]) - len(bytes.TrimLeft(f.data[start:], " \t\r\n,:"))
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	v := &value{kind: f.data[start]}
	switch token {
	case json.Delim('['):
		for dec.More() {
			item, err := f.read(dec)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
	case json.Delim('{'):
		for dec.More() {
			key, err := f.read(dec)
			if err != nil {
				return nil, err
			}
			val, err := f.read(dec)
			if err != nil {
				return nil, err
			}
			v.members = append(v.members, member{key, val})
		}
	default:
		v.text, _ = token.(string)
	}
	if v.kind == '[' || v.kind == '{' {
		if _, err := dec.Token(); err != nil { // its end
			return nil, err
		}
	}
	v.span = span{start, int(dec.InputOffset())}
	return v, nil
}

// get returns an object's member, or nil; the case of the key doesn't matter to those who read the files either.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	for _, m := range v.members {
		if strings.EqualFold(m.key.text, key) {
			return m.value
		}
	}
	return nil
}

// named returns the element of a list whose member has that text, and its index; -1 when there is none.
func (v *value) named(key, name string) (*value, int) {
	for i, item := range v.items {
		if n := item.get(key); n != nil && n.text == name {
			return item, i
		}
	}
	return nil, -1
}

// index returns where a list has a string, or an object a key; -1 when it hasn't.
func (v *value) index(text string) int {
	if v == nil {
		return -1
	}
	for i, item := range v.items {
		if item.kind == '"' && item.text == text {
			return i
		}
	}
	for i, m := range v.members {
		if m.key.text == text {
			return i
		}
	}
	return -1
}

// entries are the places of a list's items or an object's members.
func (v *value) entries() []span {
	var spans []span
	for _, item := range v.items {
		spans = append(spans, item.span)
	}
	for _, m := range v.members {
		spans = append(spans, span{m.key.start, m.value.end})
	}
	return spans
}

// invalid is a problem at a place of the file. Columns count characters, as an editor does.
func (f *jsonText) invalid(at *value, suggestion, format string, args ...any) fault.Invalid {
	head := f.data[:at.start]
	return fault.Invalid{
		File: f.name, Line: 1 + bytes.Count(head, []byte("\n")), Column: 1 + utf8.RuneCount(head[bytes.LastIndexByte(head, '\n')+1:]),
		Problem: fmt.Sprintf(format, args...), Suggestion: suggestion,
	}
}
