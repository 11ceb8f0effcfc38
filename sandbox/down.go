package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"golang.org/x/sync/errgroup"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// DownReport says what Down stopped or removed.
type DownReport struct {
	Stopped []string `json:"stopped,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// Lines are the report for people.
func (r *DownReport) Lines() []string {
	var out []string
	for _, s := range r.Stopped {
		out = append(out, "stopped "+s)
	}
	for _, s := range r.Removed {
		out = append(out, "removed "+s)
	}
	if len(out) == 0 {
		out = append(out, "nothing to do")
	}
	return out
}

// Down stops the sandbox: its session process, its cluster, its broker. With purge it removes them, and everything
// else that carries the sandbox's label, its network too, and the state folder. It needs no
// session, and works on what is left of a sandbox that was half made.
func Down(ctx context.Context, st State, purge bool) (*DownReport, error) {
	if _, err := st.Read(); err != nil && !purge { // a purge needs no record, nor one that can be read
		return nil, err
	}
	report := &DownReport{}
	client, err := Dial(ctx, st)
	if err == nil {
		progress.Report(ctx, progress.Update{What: "stop the session process"})
		if err := client.StopSession(ctx); err != nil {
			return nil, err
		}
		report.Stopped = append(report.Stopped, "session process")
	} else if !errors.Is(err, ErrNoSession) {
		return nil, err
	}
	docker, err := engine.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer docker.Close()
	if purge {
		return report, remove(ctx, docker, st, report)
	}
	return report, stop(ctx, docker, st, report)
}

// containers returns the sandbox's containers, running or not: the cluster's nodes carry kind's own label with the
// cluster's name, all others ours.
func containers(ctx context.Context, docker engineClient, sandbox string) ([]container.Summary, error) {
	nodes, err := nodeContainers(ctx, docker, sandbox)
	if err != nil {
		return nil, err
	}
	others, err := labelled(ctx, docker, engine.LabelSandbox+"="+sandbox)
	return append(nodes, others...), err
}

func nodeContainers(ctx context.Context, docker engineClient, sandbox string) ([]container.Summary, error) {
	return labelled(ctx, docker, cluster.NodeLabel+"="+cluster.Name(sandbox))
}

func labelled(ctx context.Context, docker engineClient, label string) ([]container.Summary, error) {
	found, err := docker.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", label))})
	if err != nil {
		return nil, fmt.Errorf("list the sandbox's containers: %w", err)
	}
	return found, nil
}

func containerName(c container.Summary) string {
	if len(c.Names) == 0 {
		return c.ID[:12]
	}
	return c.Names[0][1:] // the engine puts a slash before it
}

func stop(ctx context.Context, docker engineClient, st State, report *DownReport) error {
	found, err := containers(ctx, docker, st.Name)
	if err != nil {
		return err
	}
	running := slices.DeleteFunc(found, func(c container.Summary) bool { return c.State != container.StateRunning })
	for _, c := range running {
		report.Stopped = append(report.Stopped, "container "+containerName(c))
	}
	return each(ctx, "stop", running, func(ctx context.Context, id string) error {
		return docker.ContainerStop(ctx, id, container.StopOptions{})
	})
}

// each does something with all containers at once, and says so.
func each(ctx context.Context, verb string, all []container.Summary, do func(ctx context.Context, id string) error) error {
	var names []string
	g, gctx := errgroup.WithContext(ctx)
	for _, c := range all {
		names = append(names, containerName(c))
		g.Go(func() error {
			if err := do(gctx, c.ID); err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("%s container %s: %w", verb, containerName(c), err)
			}
			return nil
		})
	}
	progress.Report(ctx, progress.Update{What: verb + " " + strings.Join(names, ", ")})
	return g.Wait()
}

func remove(ctx context.Context, docker engineClient, st State, report *DownReport) error {
	ours := filters.NewArgs(filters.Arg("label", engine.LabelSandbox+"="+st.Name))
	found, err := containers(ctx, docker, st.Name)
	if err != nil {
		return err
	}
	for _, c := range found {
		report.Removed = append(report.Removed, "container "+containerName(c))
	}
	err = each(ctx, "remove", found, func(ctx context.Context, id string) error {
		return docker.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true})
	})
	if err != nil {
		return err
	}
	networks, err := docker.NetworkList(ctx, network.ListOptions{Filters: ours})
	if err != nil {
		return fmt.Errorf("list the sandbox's networks: %w", err)
	}
	for _, n := range networks {
		if err := docker.NetworkRemove(ctx, n.ID); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("remove network %s: %w", n.Name, err)
		}
		report.Removed = append(report.Removed, "network "+n.Name)
	}
	if _, err := os.Stat(st.Dir); err == nil {
		if err := os.RemoveAll(st.Dir); err != nil {
			return err
		}
		report.Removed = append(report.Removed, "state folder "+st.Dir)
		// The folder of all sandboxes goes with the last of them.
		_ = os.Remove(filepath.Dir(st.Dir))
	}
	return nil
}
