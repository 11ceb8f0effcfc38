package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
)

// datasetsDir is the folder of a workspace that has a folder of data for each party, named like its agent.
const datasetsDir = "datasets"

// readDatasets finds the parties' folders of data, and the services that read data sets. strange are folders that are no
// party's.
func readDatasets(w *workspace) (d cluster.Datasets, strange []string, err error) {
	entries, err := os.ReadDir(filepath.Join(w.dir, datasetsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil, nil
	}
	if err != nil {
		return d, nil, fmt.Errorf("read folders of data sets: %w", err)
	}
	d.Folders = map[string]string{}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		i := slices.IndexFunc(w.agents, func(a agent) bool { return strings.EqualFold(a.Name, e.Name()) })
		if i < 0 {
			strange = append(strange, e.Name())
			continue
		}
		d.Folders[w.agents[i].Namespace] = path.Join(datasetsDir, e.Name())
	}
	for _, svc := range w.found.Services {
		if w.readsDatasets(svc) {
			for _, ref := range svc.Refs {
				d.Images = append(d.Images, images.Normalised(ref))
			}
		}
	}
	return d, strange, nil
}

// readsDatasets reports whether a service asks for the data of its party.
func (w *workspace) readsDatasets(svc images.Service) bool {
	for _, m := range w.launch.Microservices {
		if m.Name == svc.Name {
			return len(m.Datasets) > 0
		}
	}
	return false
}

// noteDatasets says which folders nobody reads.
func (b *bringUp) noteDatasets(strange []string) {
	var names []string
	for _, a := range b.workspace.agents {
		names = append(names, a.Name)
	}
	for _, s := range strange {
		note := fmt.Sprintf("%s/%s is no agent's", datasetsDir, s)
		if hint := nearest.Hint(s, names); hint != "" {
			note += " (" + hint + ")"
		}
		b.feed.note(note)
	}
	if d := b.workspace.datasets; len(d.Folders) > 0 && len(d.Images) == 0 {
		b.feed.note(fmt.Sprintf("no service reads %s/: microservices.json names none's data sets (\"datasets\": [NAME])", datasetsDir))
	}
}

// ensureDatasets has the parties' data mounted into Pods. The volumes are there.
func (b *bringUp) ensureDatasets(ctx context.Context) error {
	for _, node := range cluster.StandingNodes(b.session.docker, b.session.state.Name, b.session.state.Dir) {
		if err := cluster.CheckDatasets(ctx, node, b.workspace.datasets); err != nil {
			return err
		}
	}
	return b.client.SetDatasets(ctx, b.workspace.datasets)
}
