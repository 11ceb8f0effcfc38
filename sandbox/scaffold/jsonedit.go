package scaffold

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

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
	if n := len(model.members); n > 0 { // what the model lacks
		var more strings.Builder
		for _, fl := range fields {
			if fl.value != nil && !slices.ContainsFunc(model.members, func(m member) bool { return strings.EqualFold(fl.key, m.key.text) }) {
				more.WriteString(f.separator(model) + quote(fl.key) + ": " + f.write(&value{kind: '['}, fl.value))
			}
		}
		end := model.members[n-1].value.end - model.start
		text = slices.Replace(text, end, end, []byte(more.String())...)
	}
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
