// Package limits has what several services have to agree on: how long a data request may take.
package limits

import (
	"fmt"
	"strconv"
	"time"
)

const (
	// RequestVariable is the environment variable that changes the limit of a data request: a duration ("60s"), or a
	// number of seconds. The agent passes it on to its Jobs.
	RequestVariable = "DYNAMOS_HTTP_REQUEST_TIMEOUT"
	// DefaultRequest is the limit without it.
	DefaultRequest = 30 * time.Second
)

// Request is how long an agent may take for a data request, from its arrival to its answer, the start of Pods
// included.
func Request(getenv func(string) string) (time.Duration, error) {
	text := getenv(RequestVariable)
	if text == "" {
		return DefaultRequest, nil
	}
	d, err := time.ParseDuration(text)
	if seconds, notSeconds := strconv.Atoi(text); notSeconds == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("environment variable %s is %q, want a duration like 60s", RequestVariable, text)
	}
	return d, nil
}
