package scenarios

import (
	"encoding/json"
	"time"
)

// Version is the format that this package reads.
const Version = 1

// DefaultTimeout is for a whole request: the platform gives up after 30 s for the approval and 30 s for the data.
const DefaultTimeout = 90 * time.Second

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
	Body      string   `json:"body,omitempty"`      // as it came, when it is not an approval's JSON
}

// Expect is what must come back.
type Expect struct {
	Status    int        // of HTTP
	Count     int        // of responses; -1 when at least one is enough
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
