package sandbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/images"
)

// sensitiveColumns names the columns that the launch files declare sensitive.
func sensitiveColumns(datasets []fixtures.Dataset) []string {
	var names []string
	for _, d := range datasets {
		for table, columns := range d.SensitiveColumns {
			for _, column := range columns {
				if column != "" { // DYNAMOS's own files have such a one
					names = append(names, table+"."+column)
				}
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// sensitive finds what services of the workspace have to be told about the sensitive columns of launch files, which need not
// be its own.
func (w *workspace) sensitive(launch *fixtures.Set) (s cluster.Sensitive, err error) {
	if len(sensitiveColumns(launch.Datasets)) == 0 {
		return s, nil
	}
	datasets := slices.Clone(launch.Datasets)
	slices.SortFunc(datasets, func(a, b fixtures.Dataset) int { return cmp.Compare(a.Name, b.Name) })
	text, err := json.Marshal(datasets)
	if err != nil {
		return s, fmt.Errorf("write data sets as JSON: %w", err)
	}
	s = cluster.Sensitive{Datasets: string(text), Anonymizers: map[string][]string{}}
	for _, a := range w.agents {
		s.Namespaces = append(s.Namespaces, a.Namespace)
	}
	for _, svc := range w.found.Services {
		i := slices.IndexFunc(launch.Microservices, func(m fixtures.Microservice) bool { return m.Name == svc.Name })
		if i < 0 {
			continue
		}
		m := launch.Microservices[i]
		for _, ref := range svc.Refs {
			if len(m.Datasets) > 0 {
				s.Readers = append(s.Readers, images.Normalised(ref))
			}
			if len(m.Anonymizes) > 0 {
				s.Anonymizers[images.Normalised(ref)] = m.Anonymizes
			}
		}
	}
	return s, nil
}

// tellSensitive is the phase "sensitive".
func (b *bringUp) tellSensitive(ctx context.Context) (string, error) {
	b.session.told = nil // whatever became of it since
	now, err := b.session.tellSensitive(ctx, b.client, b.workspace, b.workspace.launch)
	if err != nil {
		return "", err
	}
	columns := sensitiveColumns(b.workspace.launch.Datasets)
	switch {
	case len(columns) == 0:
		return "no column is", nil
	case len(now.Readers) == 0:
		return strings.Join(columns, ", ") + ", but no service reads data sets", nil
	}
	return strings.Join(columns, ", "), nil
}

// tellSensitive has services told what is sensitive by launch files, unless they are. It takes a second. Whoever calls it
// holds the session's work.
func (s *session) tellSensitive(ctx context.Context, client *cluster.Client, w *workspace, launch *fixtures.Set) (cluster.Sensitive, error) {
	now, err := w.sensitive(launch)
	if err != nil || s.told != nil && reflect.DeepEqual(*s.told, now) {
		return now, err
	}
	s.told = nil
	if err := client.SetSensitive(ctx, now); err != nil {
		return now, err
	}
	s.told = &now
	return now, nil
}
