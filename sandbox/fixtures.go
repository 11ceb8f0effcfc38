package sandbox

import (
	"context"
	"fmt"
	"io"

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
	set, dir, err := launchFilesOf(workspace, here, dir, strict)
	report := &ValidationReport{Dir: dir, Problems: fault.Invalids{}}
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
	store := s.store()
	if store == nil {
		return nil, ErrNotReady
	}
	record, err := s.state.Read()
	if err != nil {
		return nil, err
	}
	set, dir, err := launchFilesOf(record.Workspace, record.Workspace, dir, strict)
	if err != nil {
		return nil, err
	}
	report := &FixturesReport{Dir: dir, Applied: apply, Warnings: set.Warnings}
	if apply {
		s.work.Lock()
		defer s.work.Unlock()
		err := s.work.until(ctx, func() bool { return s.work.alone == 0 && len(s.work.ofWorkspace()) == 0 })
		if err != nil {
			return nil, err
		}
		if r := s.lastReady(); r != nil {
			if _, err := s.tellSensitive(ctx, r.client, r.workspace, set); err != nil {
				return nil, err
			}
		}
		report.Changes, err = s.applySet(ctx, set, dir)
	} else {
		report.Changes, err = store.Diff(ctx, set)
	}
	return report, err
}
