package scenarios

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// kind is the type of a YAML value, and its name in messages.
type kind string

const (
	aString  kind = "a string"
	aNumber  kind = "a number"
	aBool    kind = "true or false"
	aNull    kind = "nothing"
	aList    kind = "a list"
	aMapping kind = "a mapping"
)

// node is a YAML value that remembers where it stands. Scenarios are data: anchors, aliases, tags and merge keys
// are refused, so that what one reads is what is sent.
type node struct {
	kind         kind
	file         string
	line, column int
	text         string  // of a string
	number       float64 // of a number
	integer      bool    // the number is written as one
	truth        bool    // of a boolean
	items        []*node // of a list
	members      []member
}

// member is one key of a mapping; YAML has refused repeated ones.
type member struct{ key, value *node }

func (n *node) get(key string) *node {
	for _, m := range n.members {
		if m.key.text == key {
			return m.value
		}
	}
	return nil
}

// place is "file:line:column". An expectation that was put together in Go has no place in a file.
func (n *node) place() string {
	if n == nil {
		return "expectation"
	}
	return fmt.Sprintf("%s:%d:%d", n.file, n.line, n.column)
}

func (n *node) problem(suggestion, format string, args ...any) fault.Invalid {
	return fault.Invalid{File: n.file, Line: n.line, Column: n.column, Problem: fmt.Sprintf(format, args...), Suggestion: suggestion}
}

// plain is the value as encoding/json takes it.
func (n *node) plain() any {
	switch n.kind {
	case aString:
		return n.text
	case aNumber:
		if n.integer {
			return int64(n.number)
		}
		return n.number
	case aBool:
		return n.truth
	case aList:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.plain()
		}
		return out
	case aMapping:
		out := make(map[string]any, len(n.members))
		for _, m := range n.members {
			out[m.key.text] = m.value.plain()
		}
		return out
	}
	return nil
}

// parseTree reads a file of one YAML document whose root is a mapping.
func parseTree(file string, data []byte) (*node, error) {
	parsed, err := parser.ParseBytes(data, 0)
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		return nil, at(file, syntax.GetToken(), syntax.GetMessage())
	}
	if err != nil {
		return nil, fault.Invalid{File: file, Problem: err.Error()}
	}
	if len(parsed.Docs) == 0 || parsed.Docs[0].Body == nil || parsed.Docs[0].Body.Type() == ast.CommentType {
		return nil, fault.Invalid{File: file, Line: 1, Column: 1, Problem: "file is empty"}
	}
	if len(parsed.Docs) > 1 {
		return nil, at(file, parsed.Docs[1].Start, "a second document: a scenario is a file of its own")
	}
	n, err := readNode(file, parsed.Docs[0].Body)
	if err != nil {
		return nil, err
	}
	if n.kind != aMapping {
		return nil, n.problem("", "a scenario must be a mapping, not %s", n.kind)
	}
	return n, nil
}

func at(file string, tk *token.Token, problem string) fault.Invalid {
	i := fault.Invalid{File: file, Problem: problem}
	if tk != nil {
		i.Line, i.Column = tk.Position.Line, tk.Position.Column
	}
	return i
}

func readNode(file string, from ast.Node) (*node, error) {
	tk := from.GetToken()
	n := &node{file: file, line: tk.Position.Line, column: tk.Position.Column}
	switch v := from.(type) {
	case *ast.StringNode:
		n.kind, n.text = aString, v.Value
	case *ast.LiteralNode:
		n.kind, n.text = aString, v.Value.Value
	case *ast.IntegerNode:
		n.kind, n.integer = aNumber, true
		switch i := v.Value.(type) {
		case int64:
			n.number = float64(i)
		case uint64:
			n.number = float64(i)
		}
		if n.number > 1<<53 || n.number < -1<<53 {
			return nil, n.problem("write it as a string", "%s is too large for a JSON number", tk.Value)
		}
	case *ast.FloatNode:
		n.kind, n.number = aNumber, v.Value
	case *ast.BoolNode:
		n.kind, n.truth = aBool, v.Value
	case *ast.NullNode:
		n.kind = aNull
	case *ast.SequenceNode:
		n.kind = aList
		for _, item := range v.Values {
			child, err := readNode(file, item)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, child)
		}
	case *ast.MappingNode:
		return readMapping(n, v.Values)
	case *ast.MappingValueNode:
		return readMapping(n, []*ast.MappingValueNode{v})
	default:
		return nil, n.problem("write the value out", "%s: anchors, aliases, tags and the like have no place in a scenario", tk.Value)
	}
	return n, nil
}

// readMapping takes the place of the first key: the parser's own is that of the first colon.
func readMapping(n *node, values []*ast.MappingValueNode) (*node, error) {
	n.kind = aMapping
	for i, v := range values {
		key, err := readNode(n.file, v.Key)
		if err != nil {
			return nil, err
		}
		if key.kind != aString {
			return nil, key.problem("put it in quotes", "a key must be a string, not %s", key.kind)
		}
		value, err := readNode(n.file, v.Value)
		if err != nil {
			return nil, err
		}
		if i == 0 && n.line == v.GetToken().Position.Line && n.column == v.GetToken().Position.Column {
			n.line, n.column = key.line, key.column
		}
		n.members = append(n.members, member{key, value})
	}
	return n, nil
}
