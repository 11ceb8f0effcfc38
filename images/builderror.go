package images

import (
	"errors"
	"strings"
)

// BuildError says why services could not be built: several of them where the cause is the same, such as a mistake in a
// package that they share.
type BuildError struct {
	Services []string
	Err      error // of a compiler or a step: a *fault.Exec with its own lines
}

// Error names the services.
func (e *BuildError) Error() string {
	return "build " + strings.Join(e.Services, ", ") + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *BuildError) Unwrap() error { return e.Err }

// ErrorsByService takes an error of [Builders.All] apart: by service, why it wasn't built. What concerns no service in
// particular is not in it.
func ErrorsByService(err error) map[string]error {
	out := map[string]error{}
	collectErrors(err, out)
	return out
}

func collectErrors(err error, out map[string]error) {
	if failed, ok := err.(*BuildError); ok { //nolint:errorlint // each level is looked at by itself
		for _, service := range failed.Services {
			out[service] = errors.Join(out[service], failed)
		}
		return
	}
	switch e := err.(type) { //nolint:errorlint // see above
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			collectErrors(inner, out)
		}
	case interface{ Unwrap() error }:
		collectErrors(e.Unwrap(), out)
	}
}
