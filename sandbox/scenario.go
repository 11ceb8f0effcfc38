package sandbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/internal/nearest"
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
		if res.Trace != "" {
			fmt.Fprintf(w, "  what each service did: dynsandbox trace %.8s\n", res.Trace)
		}
	}
	return nil
}

// replay runs scenarios against the running platform.
func (s *session) replay(ctx context.Context, names []string) (*ReplayReport, error) {
	record, err := s.state.Read()
	if err != nil {
		return nil, err
	}
	chosen, err := chooseScenarios(record.Workspace, names)
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
		result, err := s.play(ctx, platform, sc)
		if err != nil {
			return nil, err
		}
		report.Passed = report.Passed && result.Passed
		report.Results = append(report.Results, result)
	}
	return report, nil
}

// play runs one scenario. If it fails, the result names the request's trace.
func (s *session) play(ctx context.Context, platform scenarios.Platform, sc *scenarios.Scenario) (scenarios.Result, error) {
	begun := time.Now()
	result, err := scenarios.Run(ctx, platform, sc)
	if err != nil {
		return result, err
	}
	request := replayed{begun, time.Now(), result.Answer.JobID}
	s.replayed.Store(&request)
	if !result.Passed {
		result.Trace = s.traceOf(ctx, request)
	}
	return result, nil
}

// inFolder names the files of an error as the user would, who named one outside the workspace.
func inFolder(dir string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return &fs.PathError{Op: path.Op, Path: filepath.Join(dir, path.Path), Err: path.Err}
	}
	if invalid := fault.AsInvalids(err); invalid != nil {
		invalid = slices.Clone(invalid)
		for i := range invalid {
			invalid[i].File = filepath.Join(dir, invalid[i].File)
		}
		return invalid
	}
	return err
}

// chooseScenarios returns the workspace's scenarios of those names, or files, or all when none is named.
func chooseScenarios(workspace string, names []string) ([]*scenarios.Scenario, error) {
	var own []*scenarios.Scenario
	if len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return !filepath.IsAbs(n) }) {
		var err error
		if own, err = workspaceScenarios(workspace); err != nil || len(names) == 0 {
			return own, err
		}
	}
	var out []*scenarios.Scenario
	for _, name := range names {
		if filepath.IsAbs(name) {
			sc, err := scenarios.ParseFile(os.DirFS(filepath.Dir(name)), filepath.Base(name))
			if err != nil {
				return nil, inFolder(filepath.Dir(name), err)
			}
			out = append(out, sc)
			continue
		}
		i := slices.IndexFunc(own, func(sc *scenarios.Scenario) bool { return sc.Name == name })
		if i < 0 {
			var have []string
			for _, sc := range own {
				have = append(have, sc.Name)
			}
			return nil, worded{fmt.Sprintf("no scenario %q; %s", name, hint(name, have)), ErrUnknownName}
		}
		out = append(out, own[i])
	}
	return out, nil
}

// hint is the nearest of the names that there are, or all of them.
func hint(name string, have []string) string {
	if near := nearest.Hint(name, have); near != "" {
		return near
	}
	return "there is " + strings.Join(have, ", ")
}

// workspaceScenarios returns the scenarios of the workspace, in the order of their files; one without the folder has
// none.
func workspaceScenarios(workspace string) ([]*scenarios.Scenario, error) {
	return scenarios.ParseDir(os.DirFS(workspace), scenariosDir)
}

// scenarioPassed is the check of the phase "scenario": it has passed for exactly what is deployed now.
func (b *bringUp) scenarioPassed(context.Context) (bool, error) {
	if b.opts.NoScenario || b.replayed != nil {
		return true, nil
	}
	hash, err := b.answerDependsOn()
	return b.record.Verified.Hash == hash, err
}

// answerDependsOn is a hash of all that the answer to the first scenario depends on: what is deployed, the content of
// every image (of Jobs too), the launch files, the scenario.
func (b *bringUp) answerDependsOn() (string, error) {
	var text []byte
	if len(b.workspace.scenarios) > 0 {
		var err error
		if text, err = os.ReadFile(filepath.Join(b.workspace.dir, b.workspace.scenarios[0].File)); err != nil {
			return "", err
		}
	}
	all, err := json.Marshal([]any{b.deployment, b.record.Images, b.workspace.launch.Keys(), text})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:]), nil
}

// runScenario is the phase "scenario": the first of the workspace's, as proof that requests are answered. A scenario
// that fails doesn't fail the bring-up: the platform is up, and the summary says what differed.
func (b *bringUp) runScenario(ctx context.Context) (string, error) {
	b.replayed = &ReplayReport{Passed: true}
	if len(b.workspace.scenarios) == 0 {
		return "the workspace has no scenarios/ folder", nil
	}
	first := b.workspace.scenarios[0]
	var err error
	if b.replayed, err = b.session.runScenarios(ctx, b.workspace.scenarios[:1]); err != nil {
		return "", err
	}
	if !b.replayed.Passed {
		return first.Name + " failed", nil
	}
	hash, err := b.answerDependsOn()
	if err != nil {
		return "", err
	}
	return first.Name + " passed", b.remember(func(r *Record) { r.Verified = Verified{first.Name, time.Now(), hash} })
}
