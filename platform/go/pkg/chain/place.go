package chain

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/limits"
)

// Place is where in its chain a service is.
type Place struct {
	Port        int    // its own
	SidecarPort int    // the sidecar's
	First, Last bool   // both for a chain of one
	Queue       string // of the Job
	// Providers is how many data providers send a message to this Job; 0 if it is not a third party's.
	Providers int
	// RequestTimeout is how long the agent waits for the answer; limits.DefaultRequest if 0.
	RequestTimeout time.Duration
}

// PlaceFromEnv reads what the agent tells each container: DESIGNATED_GRPC_PORT, SIDECAR_PORT, FIRST and LAST (1 or
// 0), JOB_NAME, NR_OF_DATA_PROVIDERS and DYNAMOS_HTTP_REQUEST_TIMEOUT, of which only the last two may be missing. Its
// error names all that is wrong.
func PlaceFromEnv(getenv func(string) string) (Place, error) {
	var problems []error
	number := func(name string) int {
		n, err := strconv.Atoi(getenv(name))
		if err != nil || n < 0 {
			problems = append(problems, fmt.Errorf("environment variable %s is %q, want a number", name, getenv(name)))
		}
		return n
	}
	p := Place{
		Port:        number("DESIGNATED_GRPC_PORT"),
		SidecarPort: number("SIDECAR_PORT"),
		First:       number("FIRST") > 0,
		Last:        number("LAST") > 0,
		Queue:       getenv("JOB_NAME"),
	}
	if getenv("NR_OF_DATA_PROVIDERS") != "" {
		p.Providers = number("NR_OF_DATA_PROVIDERS")
	}
	var err error
	if p.RequestTimeout, err = limits.Request(getenv); err != nil {
		problems = append(problems, err)
	}
	if p.Queue == "" {
		problems = append(problems, errors.New("environment variable JOB_NAME is not set"))
	}
	return p, errors.Join(problems...)
}

// nextTimeout is how long the next service may take to listen: its container may be pulled up, or restarted, just
// now. It is less than the time after which the agent gives up, so that the reason still reaches the requester.
func (p Place) nextTimeout() time.Duration {
	return cmp.Or(p.RequestTimeout, limits.DefaultRequest) * 2 / 3
}

// next is the port of whoever comes after p.
func (p Place) next() int {
	if p.Last {
		return p.SidecarPort
	}
	return p.Port + 1
}
