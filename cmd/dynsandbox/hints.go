package main

import (
	"errors"
	"strings"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/sandbox"
)

// hints are what a person can do about an error, most likely first. They live here and not in the errors, so that
// the packages can be used by programs that have no command line.
func hints(err error) []string {
	switch {
	case errors.Is(err, sandbox.ErrNoSession), errors.Is(err, sandbox.ErrNoSandbox), errors.Is(err, sandbox.ErrNotReady):
		return []string{"dynsandbox up brings the sandbox up, or back"}
	case errors.Is(err, sandbox.ErrNoWorkspace):
		return []string{"go into a DYNAMOS checkout, or name one: dynsandbox up --workspace DIR"}
	case errors.Is(err, sandbox.ErrOtherWorkspace):
		return []string{"a second sandbox beside it: dynsandbox up --name OTHER --workspace DIR", "or start anew: dynsandbox down --purge"}
	case errors.Is(err, sandbox.ErrStopped):
		return []string{"dynsandbox up goes on from there"}
	case errors.Is(err, cluster.ErrNoMounts):
		return []string{"make the cluster anew: dynsandbox down --purge, then up --mount", "or go on without: dynsandbox up --mount=false"}
	case errors.Is(err, cluster.ErrOtherOwner):
		return []string{"another name: dynsandbox up --name OTHER", "or remove that one, with the state folder that it has: XDG_STATE_HOME=... dynsandbox down --purge"}
	case strings.Contains(err.Error(), "reach the docker engine"):
		return []string{"dynsandbox setup installs and starts an engine (Debian and Ubuntu, as root)"}
	}
	return nil
}
