package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// onlinePatience is how long a request waits for an agent that is away. One that restarts is back sooner; the gateway waits
// longer for its approval.
const onlinePatience = 10 * time.Second

// awayError says that a request needs agents that are not online: all data providers, or one of several compute providers.
type awayError struct {
	what   string
	agents []string
}

func (e *awayError) Error() string { return e.what + " not online: " + strings.Join(e.agents, ", ") }

// assign is [compositions] for the agents that are online. For those that are not it waits, as long as onlinePatience: an
// answer without one of them would look like the answer of all.
func (o *orchestrator) assign(ctx context.Context, archetype etcd.Archetype, providers map[string]*pb.DataProvider) (
	requests []*pb.CompositionRequest, authorized map[string]string, err error,
) {
	agents, err := etcd.List[etcd.Agent](ctx, o.store, etcd.OnlinePrefix)
	if err != nil {
		return nil, nil, err
	}
	online := map[string]etcd.Agent{}
	for _, agent := range agents {
		online[agent.Name] = agent
	}
	requests, authorized, err = compositions(archetype, providers, online)
	if _, away := errors.AsType[*awayError](err); !away {
		return requests, authorized, err
	}
	slog.InfoContext(ctx, "waiting for agents", "error", err)
	ctx, cancel := context.WithTimeout(ctx, onlinePatience)
	defer cancel()
	clear(online)
	for event := range o.store.Watch(ctx, etcd.OnlinePrefix) {
		name := strings.TrimPrefix(event.Key, etcd.OnlinePrefix)
		var agent etcd.Agent
		switch {
		case event.Deleted:
			delete(online, name)
		case json.Unmarshal(event.Value, &agent) != nil:
			return nil, nil, fmt.Errorf("decode %s: %q", event.Key, event.Value)
		default:
			online[agent.Name] = agent
		}
		requests, authorized, err = compositions(archetype, providers, online)
		if _, away := errors.AsType[*awayError](err); !away {
			return requests, authorized, err
		}
	}
	return nil, nil, err
}
