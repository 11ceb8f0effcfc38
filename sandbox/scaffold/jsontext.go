package scaffold

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
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

// insert puts an entry into a list or an object, in the way in which its other entries are written. [jsonText.remove]
// takes away just what it writes.
func (f *jsonText) insert(into *value, at int, text string) error {
	entries := into.entries()
	switch {
	case len(entries) == 0:
		lead, tail := f.around(into)
		return f.replace(span{into.start + 1, into.end - 1}, lead+text+tail)
	case at == 0:
		return f.replace(span{entries[0].start, entries[0].start}, text+f.separator(into))
	}
	end := entries[min(at, len(entries))-1].end
	return f.replace(span{end, end}, f.separator(into)+text)
}

// remove takes an entry out of a list or an object.
func (f *jsonText) remove(from *value, at int) error {
	entries := from.entries()
	switch {
	case len(entries) == 1:
		return f.replace(span{from.start + 1, from.end - 1}, "")
	case at == 0:
		return f.replace(span{entries[0].start, entries[1].start}, "")
	}
	return f.replace(span{entries[at-1].end, entries[at].end}, "")
}

func (f *jsonText) replace(s span, text string) error {
	f.data = append(append(append([]byte{}, f.data[:s.start]...), text...), f.data[s.end:]...)
	return f.parse()
}

// separator is what stands between two entries.
func (f *jsonText) separator(v *value) string {
	entries := v.entries()
	if len(entries) > 1 {
		return string(f.data[entries[0].end:entries[1].start])
	}
	if lead, _ := f.around(v); strings.Contains(lead, "\n") {
		return "," + lead
	}
	return ", "
}

// around is what stands before the first and after the last entry. Of a value without entries it is what the file's other
// values of this kind have, moved to where this one stands.
func (f *jsonText) around(v *value) (lead, tail string) {
	if entries := v.entries(); len(entries) > 0 {
		return string(f.data[v.start+1 : entries[0].start]), string(f.data[entries[len(entries)-1].end : v.end-1])
	}
	model := f.fullest(f.root, v.kind, nil)
	if model == nil {
		return "", ""
	}
	if lead, tail = f.around(model); !strings.Contains(lead, "\n") {
		return lead, tail
	}
	indent := f.indentation(v.start)
	return "\n" + indent + strings.TrimPrefix(lead[strings.LastIndexByte(lead, '\n')+1:], f.indentation(model.start)), "\n" + indent
}

// fullest returns the value of a kind with the most entries below v, v itself aside: it shows best how they are written.
func (f *jsonText) fullest(v *value, kind byte, best *value) *value {
	look := func(below *value) {
		if below.kind == kind && len(below.entries()) > 0 && (best == nil || len(below.entries()) > len(best.entries())) {
			best = below
		}
		best = f.fullest(below, kind, best)
	}
	for _, item := range v.items {
		look(item)
	}
	for _, m := range v.members {
		look(m.value)
	}
	return best
}

// indentation is the white space at the beginning of the line of an offset.
func (f *jsonText) indentation(at int) string {
	line := f.data[bytes.LastIndexByte(f.data[:at], '\n')+1:]
	return string(line[:len(line)-len(bytes.TrimLeft(line, " \t"))])
}

// list writes strings as a list, in the way in which model is written.
func (f *jsonText) list(model *value, texts []string) string {
	if len(texts) == 0 {
		return "[]"
	}
	quoted := make([]string, len(texts))
	for i, t := range texts {
		quoted[i] = quote(t)
	}
	lead, tail := f.around(model)
	return "[" + lead + strings.Join(quoted, f.separator(model)) + tail + "]"
}

// field is a member of an object to be written: a string, a number, a list of strings, or nil, which empties a list that the
// model has.
type field struct {
	key   string
	value any
}

// like writes an object like a model, in which the fields have other values. Without a model it is in one line.
func (f *jsonText) like(model *value, fields []field) string {
	if model == nil {
		var members []string
		for _, fl := range fields {
			if fl.value != nil {
				members = append(members, quote(fl.key)+": "+f.write(&value{kind: '['}, fl.value))
			}
		}
		return "{" + strings.Join(members, ", ") + "}"
	}
	text := slices.Clone(f.data[model.start:model.end])
	for _, m := range slices.Backward(model.members) {
		i := slices.IndexFunc(fields, func(fl field) bool { return strings.EqualFold(fl.key, m.key.text) })
		if i < 0 {
			continue
		}
		written := f.write(m.value, fields[i].value)
		text = slices.Replace(text, m.value.start-model.start, m.value.end-model.start, []byte(written)...)
	}
	return string(text)
}

// write writes a field's value, a list in the way of model.
func (f *jsonText) write(model *value, v any) string {
	switch v := v.(type) {
	case string:
		return quote(v)
	case int:
		return strconv.Itoa(v)
	case []string:
		return f.list(model, v)
	}
	return "[]"
}

// quote writes a text as JSON does.
func quote(text string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text) // a string can always be written
	return strings.TrimSuffix(b.String(), "\n")
}
