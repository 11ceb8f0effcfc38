package tracing

import (
	"encoding/hex"
	"time"
)

// Span is one hop of a request, as its service told it.
type Span struct {
	Trace   string            `json:"trace"` // 32 hexadecimal digits
	ID      string            `json:"id"`    // 16
	Parent  string            `json:"parent,omitempty"`
	Service string            `json:"service"`           // "sql-query"
	Group   string            `json:"group,omitempty"`   // of services: the party, the namespace
	Name    string            `json:"name"`              // what the service did
	Kind    string            `json:"kind,omitempty"`    // server, client, producer, consumer, internal
	Error   string            `json:"error,omitempty"`   // why it failed
	Failed  bool              `json:"failed,omitempty"`  // with or without words
	Depth   int               `json:"depth"`             // in the tree
	Links   []Link            `json:"links,omitempty"`   // further spans that it follows
	Job     string            `json:"job,omitempty"`     // the approved job, where it is known
	Request string            `json:"request,omitempty"` // the correlation id of the data request at one agent, likewise
	Start   time.Time         `json:"start"`
	Seconds float64           `json:"seconds"`
	Other   map[string]string `json:"attributes,omitempty"` // what else it says of itself, and its process does
}

// Link leads to a span.
type Link struct {
	Trace string `json:"trace"`
	ID    string `json:"id"`
}

const traceBytes, spanBytes = 16, 8 // of the ids

// identify gives the span its ids. If one isn't what an id is, the span gets none: see [Store.Add].
func (s *Span) identify(trace, span, parent []byte) {
	if len(parent) > 0 && len(parent) != spanBytes {
		return
	}
	s.Trace, s.ID, s.Parent = id(trace, traceBytes), id(span, spanBytes), id(parent, spanBytes)
}

// link adds a link, unless its ids aren't what ids are.
func (s *Span) link(trace, span []byte) {
	if l := (Link{id(trace, traceBytes), id(span, spanBytes)}); l.Trace != "" && l.ID != "" {
		s.Links = append(s.Links, l)
	}
}

// id is an id of so many bytes as text; empty for one that is none.
func id(b []byte, size int) string {
	if len(b) != size {
		return ""
	}
	for _, one := range b {
		if one != 0 {
			return hex.EncodeToString(b)
		}
	}
	return ""
}

// The attributes that the platform's services give their spans, or their processes.
const (
	serviceAttribute     = "service.name"
	groupAttribute       = "service.namespace"
	jobAttribute         = "dynamos.job"
	correlationAttribute = "dynamos.correlation"
)

// describe takes from attributes what has a field of its own.
func (s *Span) describe(attributes map[string]string) {
	take := func(name string, into *string) {
		if value, ok := attributes[name]; ok {
			*into = value
			delete(attributes, name)
		}
	}
	take(serviceAttribute, &s.Service)
	take(groupAttribute, &s.Group)
	take(jobAttribute, &s.Job)
	take(correlationAttribute, &s.Request)
	if len(attributes) > 0 {
		s.Other = attributes
	}
}

func (s *Span) end() time.Time { return s.Start.Add(time.Duration(s.Seconds * float64(time.Second))) }

// bytes is about what the span takes of the memory.
func (s *Span) bytes() int64 {
	const fields, entry = 400, 64
	n := fields + len(s.Service) + len(s.Group) + len(s.Name) + len(s.Error) + len(s.Job) + len(s.Request) + len(s.Links)*2*entry
	for k, v := range s.Other {
		n += entry + len(k) + len(v)
	}
	return int64(n)
}

// shorten cuts what is longer than a person would read: nothing bounds what a service writes there.
func (s *Span) shorten() {
	s.Name, s.Service, s.Group = clip(s.Name), clip(s.Service), clip(s.Group)
	s.Error, s.Job, s.Request = clip(s.Error), clip(s.Job), clip(s.Request)
	s.Links = s.Links[:min(len(s.Links), maxLinks)]
	for k, v := range s.Other {
		if len(k) > maxText || len(s.Other) > maxAttributes {
			delete(s.Other, k)
			continue
		}
		s.Other[k] = clip(v)
	}
}

const (
	maxText       = 4 << 10
	maxLinks      = 64
	maxAttributes = 64
)

func clip(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText] + "..."
}
