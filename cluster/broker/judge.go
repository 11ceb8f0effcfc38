package broker

import (
	"context"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/dynsandbox/dynsandbox/internal/engine"
)

// verdict is what is to be done with a container that has the broker's name.
type verdict string

const (
	foreign verdict = "foreign" // not this sandbox's: it stays, and there is no broker
	unfit   verdict = "unfit"   // made otherwise than it would be now, or not to its end: a new one takes its place
	stands  verdict = "stands"  // to be started
	runs    verdict = "runs"
)

func (c Config) judge(standing container.InspectResponse, fingerprint string, onNetwork bool) verdict {
	switch {
	case standing.Config.Labels[engine.LabelSandbox] != c.Sandbox:
		return foreign
	case standing.Config.Labels[labelConfig] != fingerprint || standing.State.Paused || !onNetwork:
		return unfit
	case standing.State.Running:
		return runs
	case standing.State.StartedAt == neverStarted: // whether its files arrived nobody knows
		return unfit
	}
	return stands
}

// neverStarted is the engine's start time of a container that has none.
const neverStarted = "0001-01-01T00:00:00Z"

// onNetwork reports whether the network that a container was made for still is the one of that name.
func onNetwork(ctx context.Context, docker client.APIClient, c container.InspectResponse) bool {
	for name, e := range c.NetworkSettings.Networks {
		n, err := docker.NetworkInspect(ctx, name, networkInspect)
		return err == nil && (e.NetworkID == "" || e.NetworkID == n.ID)
	}
	return false
}
