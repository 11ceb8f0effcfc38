package sandbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/progress"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// ReplayReport is what came of the scenarios that were run.
type ReplayReport struct {
	Passed  bool               `json:"passed"` // all of them
	Results []scenarios.Result `json:"results"`
}

// WriteText prints the report for people: a line a scenario, and under it what differed.
func (r *ReplayReport) WriteText(w io.Writer) error {
	for _, res := range r.Results {
		verdict := "passed"
		if !res.Passed {
			verdict = "FAILED"
		}
		if _, err := fmt.Fprintf(w, "scenario %-28s %s in %.1f s\n", res.Name, verdict, res.Seconds); err != nil {
			return err
		}
		for _, f := range res.Failures {
			fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(f, "\n", "\n  "))
		}
	}
	return nil
}

// replay runs scenarios against the running platform.
func (s *session) replay(ctx context.Context, names []string) (*ReplayReport, error) {
	s.mu.Lock()
	ready := s.holds.ready
	s.mu.Unlock()
	if ready == nil {
		return nil, errNotReady
	}
	chosen, err := chooseScenarios(ready.workspace.dir, names)
	if err != nil {
		return nil, err
	}
	return s.runScenarios(ctx, chosen)
}

func (s *session) runScenarios(ctx context.Context, chosen []*scenarios.Scenario) (*ReplayReport, error) {
	platform, err := s.gateway()
	if err != nil {
		return nil, err
	}
	report := &ReplayReport{Passed: true}
	for i, sc := range chosen {
		progress.Report(ctx, progress.Update{What: sc.Name, Done: int64(i), Total: int64(len(chosen)), Unit: "scenarios"})
		result, err := scenarios.Run(ctx, platform, sc)
		if err != nil {
			return nil, err
		}
		report.Passed = report.Passed && result.Passed
		report.Results = append(report.Results, result)
	}
	return report, nil
}

// chooseScenarios returns the workspace's scenarios of those names, or files, or all when none is named.
func chooseScenarios(workspace string, names []string) ([]*scenarios.Scenario, error) {
	all, err := workspaceScenarios(workspace)
	if err != nil || len(names) == 0 {
		return all, err
	}
	var out []*scenarios.Scenario
	for _, name := range names {
		if filepath.IsAbs(name) {
			sc, err := scenarios.ParseFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
			if err != nil {
				return nil, err
			}
			out = append(out, sc)
			continue
		}
		i := slices.IndexFunc(all, func(sc *scenarios.Scenario) bool { return sc.Name == name })
		if i < 0 {
			var have []string
			for _, sc := range all {
				have = append(have, sc.Name)
			}
			return nil, fmt.Errorf("no scenario %q; there is %s", name, strings.Join(have, ", "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

// workspaceScenarios returns the scenarios of the workspace, in the order of their files; one without the folder has
// none.
func workspaceScenarios(workspace string) ([]*scenarios.Scenario, error) {
	dir := scenarioFolder(workspace)
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	var out []*scenarios.Scenario
	for _, f := range files {
		// Named from the workspace's root, as people see them in errors.
		sc, err := scenarios.ParseFile(os.DirFS(workspace), path.Join(scenariosDir, filepath.Base(f)))
		if err != nil {
			return nil, err
		}
		out = append(out, sc)
	}
	return out, nil
}

// scenarioPassed is the check of the phase "scenario": what is deployed has passed it before.
func (b *bringUp) scenarioPassed(context.Context) (bool, error) {
	return b.opts.NoScenario || b.replayed != nil || b.record.Verified == b.deployment, nil
}

// runScenario is the phase "scenario": the first of the workspace's, as proof that requests are answered. A scenario
// that fails doesn't fail the bring-up: the platform is up, and the summary says what differed.
func (b *bringUp) runScenario(ctx context.Context) (string, error) {
	all, err := workspaceScenarios(b.workspace.dir)
	if err != nil {
		return "", err
	}
	b.replayed = &ReplayReport{Passed: true}
	if len(all) == 0 {
		return "the workspace has no scenarios/ folder", nil
	}
	if b.replayed, err = b.session.runScenarios(ctx, all[:1]); err != nil {
		return "", err
	}
	if !b.replayed.Passed {
		return all[0].Name + " failed", nil
	}
	return all[0].Name + " passed", b.remember(func(r *Record) { r.Verified = b.deployment })
}
