package sandbox

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/fixtures"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// ValidationReport is what is wrong with a folder of launch files.
type ValidationReport struct {
	Dir      string         `json:"dir"`
	Valid    bool           `json:"valid"`
	Problems fault.Invalids `json:"problems"` // warnings among them
}

// WriteText prints the report for people.
func (r *ValidationReport) WriteText(w io.Writer) error {
	for _, p := range r.Problems {
		fmt.Fprintln(w, p.Error())
	}
	verdict := "valid"
	if !r.Valid {
		verdict = "not valid"
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", r.Dir, verdict)
	return err
}

// ValidateFixtures checks a folder of launch files; an empty dir means those of the sandbox's workspace, or of the one
// that the folder here lies in. It needs no running sandbox.
func ValidateFixtures(st State, here, dir string, strict bool) (*ValidationReport, error) {
	workspace := ""
	if record, err := st.Read(); err == nil {
		workspace = record.Workspace
	} else if found, err := FindWorkspace(here); err == nil {
		workspace = found
	} else if dir == "" {
		return nil, err
	}
	if dir == "" {
		dir = filepath.Join(workspace, launchFilesDir)
	}
	var known []agent
	if workspace != "" {
		// The agents that the charts deploy are names that lead somewhere. Broken charts are `up`'s to complain about.
		if rendered, err := cluster.RenderWorkspace(workspace, nil); err == nil {
			known = agents(rendered.Objects)
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	report := &ValidationReport{Dir: dir, Problems: fault.Invalids{}}
	set, err := parseLaunchFiles(here, dir, known, strict)
	if err != nil {
		if report.Problems = fault.AsInvalids(err); report.Problems == nil {
			return nil, err
		}
		return report, nil
	}
	report.Valid = true
	report.Problems = append(report.Problems, set.Warnings...)
	return report, nil
}

// FixturesReport is what applying launch files would change in the config store, or did.
type FixturesReport struct {
	Dir      string           `json:"dir"`
	Applied  bool             `json:"applied"`
	Changes  fixtures.Changes `json:"changes"`
	Warnings fault.Invalids   `json:"warnings,omitempty"`
}

// WriteText prints the report for people.
func (r *FixturesReport) WriteText(w io.Writer) error {
	for _, p := range r.Warnings {
		fmt.Fprintln(w, p.Error())
	}
	_, err := fmt.Fprintf(w, "%s%s\n", r.Changes.String(), r.Changes.Summary())
	return err
}

// fixtures compares launch files with the config store, and applies them.
func (s *session) fixtures(ctx context.Context, dir string, apply, strict bool) (*FixturesReport, error) {
	s.mu.Lock()
	ready, store := s.holds.ready, s.holds.store
	s.mu.Unlock()
	if ready == nil || store == nil {
		return nil, errNotReady
	}
	if dir == "" {
		dir = filepath.Join(ready.workspace.dir, launchFilesDir)
	}
	set, err := parseLaunchFiles(ready.workspace.dir, dir, ready.workspace.agents, strict)
	if err != nil {
		return nil, err
	}
	report := &FixturesReport{Dir: dir, Applied: apply, Warnings: set.Warnings}
	if apply {
		report.Changes, err = s.applySet(ctx, set, dir)
	} else {
		report.Changes, err = store.Diff(ctx, set)
	}
	return report, err
}
