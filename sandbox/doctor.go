package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/fault"
	"github.com/dynsandbox/dynsandbox/sandbox/pyenv"
	"github.com/dynsandbox/dynsandbox/sandbox/scaffold"
)

// DoctorReport is what was looked at, and what is wrong with it.
type DoctorReport struct {
	Workspace string      `json:"workspace,omitempty"`
	Checks    []Diagnosis `json:"checks"`
}

// Diagnosis is one of a doctor's checks.
type Diagnosis struct {
	Name     string         `json:"name"`
	OK       bool           `json:"ok"` // nothing but warnings
	Text     string         `json:"text,omitempty"`
	Problems fault.Invalids `json:"problems,omitempty"` // of files, warnings included

	err error
}

// WriteText prints a line a check, and its problems below it.
func (r *DoctorReport) WriteText(w io.Writer) error {
	for _, c := range r.Checks {
		mark := "ok  "
		if !c.OK {
			mark = "FAIL"
		}
		fmt.Fprintf(w, "%s  %-9s  %s\n", mark, c.Name, strings.ReplaceAll(c.Text, "\n", "\n                 "))
		for _, p := range c.Problems {
			if _, err := fmt.Fprintf(w, "      %v\n", p); err != nil {
				return err
			}
		}
	}
	return nil
}

// Err is what is wrong; nil: nothing but warnings.
func (r *DoctorReport) Err() error {
	var errs []error
	for _, c := range r.Checks {
		errs = append(errs, c.err)
	}
	return errors.Join(errs...)
}

// Doctor looks at what a sandbox needs: the machine's tools, and what fits together in the workspace's files. It needs no
// sandbox, and changes nothing.
func Doctor(ctx context.Context, st State, here, workspace string) *DoctorReport {
	r := &DoctorReport{}
	dir, noWorkspace := chooseWorkspace(st, here, workspace)
	if noWorkspace == nil {
		r.Workspace = dir
	}
	for _, check := range []struct {
		name string
		of   func(context.Context, string) (string, fault.Invalids, error)
		file bool // it looks at the workspace
	}{
		{"engine", engineAnswers, false},
		{"go", goThere, false},
		{"workspace", workspaceFits, true},
		{"python", pythonFits, true},
	} {
		d := Diagnosis{Name: check.name}
		if d.err = noWorkspace; d.err == nil || !check.file {
			d.Text, d.Problems, d.err = check.of(ctx, dir)
		}
		var refused fault.Invalids
		for _, p := range d.Problems {
			if !p.Warning {
				refused = append(refused, p)
			}
		}
		if d.err == nil && len(refused) > 0 {
			d.err = refused
		} else if d.err != nil {
			d.Text = d.err.Error()
		}
		d.OK = d.err == nil
		r.Checks = append(r.Checks, d)
	}
	return r
}

func engineAnswers(ctx context.Context, _ string) (string, fault.Invalids, error) {
	docker, err := engine.Connect(ctx)
	if err != nil {
		return "", nil, err
	}
	defer docker.Close()
	version, err := docker.ServerVersion(ctx)
	return "Docker " + version.Version, nil, err
}

// goThere looks for what Go services are compiled with.
func goThere(ctx context.Context, _ string) (string, fault.Invalids, error) {
	argv := []string{"go", "version"}
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return "", nil, &fault.Exec{Argv: argv, Tail: fault.Tail(out, 5), Err: err}
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "go version "), nil, nil
}

// workspaceFits checks what a bring-up refuses: launch files, charts, scenarios, services.
func workspaceFits(_ context.Context, dir string) (string, fault.Invalids, error) {
	if err := scaffold.Pending(dir); err != nil {
		return "", nil, fmt.Errorf("%w; dynsandbox new takes it back before it does anything else", err)
	}
	w, err := readWorkspace(dir, "password", false)
	if problems := fault.AsInvalids(err); problems != nil {
		return dir, problems, nil
	}
	if err != nil {
		return "", nil, err
	}
	text := fmt.Sprintf("%s: %d services, %d agents, %d scenarios", dir, len(w.found.Services), len(w.agents), len(w.scenarios))
	return text, w.launch.Warnings, nil
}

// pythonFits checks that Python services don't pin versions with which the generated code of the messages doesn't run.
func pythonFits(_ context.Context, dir string) (string, fault.Invalids, error) {
	drift, err := pyenv.Drift(dir)
	if err != nil {
		return "", nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "python", "*", "requirements.txt"))
	text := "requirements go with the library and its generated code"
	switch {
	case len(drift) > 0:
		text = "requirements that don't go with the library or its generated code"
	case len(files) == 0:
		text = "no requirements"
	}
	return text, drift, err
}
