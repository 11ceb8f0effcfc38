package scenarios

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Version is the format that this package reads.
const Version = 1

// DefaultTimeout is for a whole request: the reference platform gives up after 30 s for the approval and 70 s for the data.
const DefaultTimeout = 110 * time.Second

// Scenario is one request and what must come back.
type Scenario struct {
	File        string // as the user would name it
	Name        string
	Description string
	Timeout     time.Duration
	Request     Request
	Expect      Expect
}

// Request is what is sent to the gateway.
type Request struct {
	Body json.RawMessage `json:"body"` // of POST /api/v1/requestApproval
}

// Answer is what the gateway sent back.
type Answer struct {
	Status    int      `json:"status"`              // of HTTP
	JobID     string   `json:"jobId,omitempty"`     // the name that the platform gave the request
	Responses []string `json:"responses,omitempty"` // one a party that answered, in order of arrival; nil when the body has none
	Body      string   `json:"body,omitempty"`      // as it came, when the status isn't 200 or it is not an approval's JSON
}

// answerKept is how much of each text of an answer goes into a report, in bytes. A table can have a hundred
// megabytes, and a report travels and is kept as a whole.
const answerKept = 4 << 10

// shortened is the answer as a report shows it: texts longer than answerKept end with a note of their whole size.
func (a Answer) shortened() Answer {
	if a.Responses != nil {
		short := make([]string, len(a.Responses))
		for i, r := range a.Responses {
			short[i] = shorten(r)
		}
		a.Responses = short
	}
	a.Body = shorten(a.Body)
	return a
}

func shorten(s string) string {
	if len(s) <= answerKept {
		return s
	}
	// Half a character at the cut would make the text no UTF-8.
	kept := strings.ToValidUTF8(s[:answerKept], "")
	return fmt.Sprintf("%s... (%d bytes in all)", kept, len(s))
}

// Expect is what must come back.
type Expect struct {
	Status    int        // of HTTP
	Count     int        // of responses; -1 when any will do: at least one with status 200
	Body      string     // a part of Answer.Body; "" when anything goes
	Responses []Response // in any order
	place     *node
}

// Response is what one response must be like. Exactly one of its forms is set.
type Response struct {
	Text      *string // exactly
	Empty     bool    // "", which otherwise is a failure
	Tolerance float64 // of the numbers in a JSON value or a table, absolute

	json  *node
	table *table
	place *node
}

// table is what a response must be like that is a list of rows, the first of which names the columns.
type table struct {
	columns  []string // all of them, in any order; nil when anything goes
	rows     int      // without the names; -1 when anything goes
	contains []*node  // mappings from column to value, each of which some row must have
	place    *node
}
