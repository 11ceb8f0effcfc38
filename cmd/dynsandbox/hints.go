package main

import (
	"errors"
	"strings"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/sandbox"
	"github.com/dynsandbox/dynsandbox/sandbox/pyenv"
	"github.com/dynsandbox/dynsandbox/sandbox/scaffold"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
)

// hints are what a person can do about an error, most likely first. They live here and not in the errors, so that
// the packages can be used by programs that have no command line.
func hints(err error) []string {
	var lacks *sandbox.LacksError
	var edited *scaffold.EditedError
	var pending *scaffold.PendingError
	switch {
	case errors.Is(err, sandbox.ErrNoSession), errors.Is(err, sandbox.ErrNoSandbox), errors.Is(err, sandbox.ErrNotReady):
		return []string{"dynsandbox up brings the sandbox up, or back"}
	case errors.Is(err, sandbox.ErrNotBroughtIn):
		return []string{"dynsandbox reload brings them in", "or have the sandbox watch its workspace: dynsandbox up without --no-watch"}
	case errors.Is(err, sandbox.ErrStale):
		return []string{"dynsandbox status says why"}
	case errors.Is(err, images.ErrBundleFormat):
		return []string{"load it with the version that made it, or a newer one; or make it anew with this version: dynsandbox bundle create FILE"}
	case errors.Is(err, images.ErrBundlePlatform):
		return []string{"make one on a machine like this one: dynsandbox bundle create FILE"}
	case errors.Is(err, sandbox.ErrNoWorkspace):
		return []string{"go into a DYNAMOS checkout, or name one: --workspace DIR"}
	case errors.Is(err, sandbox.ErrOtherWorkspace):
		return []string{"a second sandbox beside it: dynsandbox up --name OTHER --workspace DIR", "or start anew: dynsandbox down --purge"}
	case errors.Is(err, sandbox.ErrOtherNodes):
		return []string{"go on with the cluster as it is: dynsandbox up without --nodes", "or make it anew, and give with it what else is not to be forgotten: dynsandbox down --purge, then up --nodes N"}
	case errors.As(err, &lacks):
		return []string{
			"a bundle brings everything: dynsandbox bundle create FILE where there is a network, dynsandbox bundle load FILE here",
			"or use the network: dynsandbox up --offline=false",
		}
	case errors.As(err, &edited):
		return []string{"--force removes it all the same; --force --dry-run only shows what would go"}
	case errors.As(err, &pending):
		return []string{"the same command without --dry-run takes it back first"}
	case errors.Is(err, pyenv.ErrNoVenv):
		return []string{"Debian and Ubuntu have that in a package of its own: apt-get install python3-venv", "or take another interpreter: --python INTERPRETER"}
	case errors.Is(err, tracing.ErrNone):
		return []string{"dynsandbox trace --list has those that there are"}
	case errors.Is(err, sandbox.ErrStopped):
		return []string{"dynsandbox up goes on from there"}
	case errors.Is(err, cluster.ErrNoMounts):
		return []string{"make the cluster anew: dynsandbox down --purge, then up --mount", "or go on without: dynsandbox up --mount=false"}
	case errors.Is(err, cluster.ErrNoWorkspace):
		return []string{"make the cluster anew: dynsandbox down --purge, then up"}
	case errors.Is(err, cluster.ErrOtherOwner):
		return []string{"another name: dynsandbox up --name OTHER", "or remove that one, with the state folder that it has: XDG_STATE_HOME=... dynsandbox down --purge"}
	case strings.Contains(err.Error(), "too many open files"): // in the log of a Pod that watches files
		return []string{"clusters of one machine share its inotify instances: sudo sysctl fs.inotify.max_user_instances=512"}
	case strings.Contains(err.Error(), "reach the docker engine"):
		return []string{"dynsandbox setup installs and starts an engine (Debian and Ubuntu, as root)"}
	}
	return nil
}
