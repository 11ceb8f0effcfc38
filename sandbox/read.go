package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// workspace is what was read from a workspace's files, checked, before anything is done with it.
type workspace struct {
	dir      string
	launch   *fixtures.Set
	rendered *cluster.Rendered
	found    images.Found
	agents   []agent
	datasets cluster.Datasets
	strange  []string // folders of data sets that are no agent's

	scenarios []*scenarios.Scenario
}

// agent is one party's agent, as the charts deploy it.
type agent struct {
	Name       string // as in the config store's /agents/online: "UVA"
	Namespace  string
	Deployment string
}

// readWorkspace reads and checks everything that a bring-up needs from a workspace. It changes nothing.
func readWorkspace(dir, brokerPassword string, strict bool) (*workspace, error) {
	w := &workspace{dir: dir}
	var err error
	// The namespaces chart makes the Secret with which every sidecar logs in to the broker.
	w.rendered, err = cluster.RenderWorkspace(dir, map[string]any{"secret": map[string]any{"password": brokerPassword}})
	if err != nil {
		return nil, err
	}
	w.agents = agents(w.rendered.Objects)
	if w.launch, err = parseLaunchFiles(dir, dir, filepath.Join(dir, launchFilesDir), w.agents, strict); err != nil {
		return nil, err
	}
	refs := images.Refs{Images: cluster.Images(w.rendered.Objects), Jobs: w.launch.Services()}
	// Agents put the images of Jobs together from the account and tag that their own chart has.
	for _, a := range w.rendered.Artifacts {
		refs.Account, refs.Tag = a.Account, a.Tag
		if a.Chart == "agents" {
			break
		}
	}
	if w.found, err = images.Discover(dir, refs); err != nil {
		return nil, err
	}
	if w.datasets, w.strange, err = readDatasets(w); err != nil {
		return nil, err
	}
	w.scenarios, err = workspaceScenarios(dir)
	return w, err
}

// parseLaunchFiles reads the launch files in dir, which their problems name relative to here where they lie below it, and
// checks them against the workspace's services and agents.
func parseLaunchFiles(workspace, here, dir string, agents []agent, strict bool) (*fixtures.Set, error) {
	shown, err := filepath.Rel(here, dir)
	if err != nil || strings.HasPrefix(shown, "..") {
		shown = dir
	}
	opts := fixtures.Options{Strict: strict, Dir: shown}
	for _, a := range agents {
		opts.Agents = append(opts.Agents, a.Name)
	}
	if workspace != "" {
		if opts.Services, err = images.ServiceFolders(workspace); err != nil {
			return nil, err
		}
	}
	return opts.Parse(os.DirFS(dir))
}

// launchFilesOf reads launch files as [parseLaunchFiles] does, for a workspace that may have faults elsewhere. An empty
// dir means its own; other folders are named from here, where the user is.
func launchFilesOf(workspace, here, dir string, strict bool) (*fixtures.Set, string, error) {
	if dir == "" {
		dir, here = filepath.Join(workspace, launchFilesDir), workspace
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, "", err
	}
	var known []agent
	if workspace != "" {
		// The agents that the charts deploy are names that lead somewhere. Broken charts are `up`'s to complain about.
		if rendered, err := cluster.RenderWorkspace(workspace, nil); err == nil {
			known = agents(rendered.Objects)
		}
	}
	set, err := parseLaunchFiles(workspace, here, dir, known, strict)
	return set, dir, err
}

// agents finds the Deployments that run an agent: those with a container that is told which data steward it is.
func agents(objects []cluster.Object) []agent {
	var out []agent
	for _, o := range objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		for _, c := range containersOf(o) {
			if name := literalEnv(c, "DATA_STEWARD_NAME"); name != "" {
				out = append(out, agent{Name: name, Namespace: o.GetNamespace(), Deployment: o.GetName()})
			}
		}
	}
	slices.SortFunc(out, func(a, b agent) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// read is the phase "read".
func (b *bringUp) read(ctx context.Context) (string, error) {
	w, err := readWorkspace(b.record.Workspace, b.record.BrokerPassword, b.opts.Strict)
	if err != nil {
		return "", err
	}
	b.workspace = w
	if err := b.checkOffline(ctx); err != nil {
		return "", err
	}
	for _, problem := range w.launch.Warnings {
		b.feed.note(problem.Error())
	}
	b.noteDatasets(w.strange)
	quirks, err := cluster.DetectQuirks(ctx, b.session.docker)
	if err != nil {
		return "", err
	}
	for _, line := range quirks.Lines() {
		b.feed.note(line)
	}
	return fmt.Sprintf("%s: %d services, %d agents, %d objects, %d left out",
		w.dir, len(w.found.Services), len(w.agents), len(w.rendered.Objects), len(w.rendered.Omissions)), nil
}
