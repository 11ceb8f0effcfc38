package sandbox

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dynsandbox/dynsandbox/sandbox/pyenv"
)

// VenvOptions are what can be said about a virtual environment.
type VenvOptions struct {
	Workspace string // "": the sandbox's, or the one that the current folder lies in
	Python    string // the interpreter
	DryRun    bool   // tell what would be made, and change nothing
}

// VenvReport is what became of a virtual environment.
type VenvReport struct {
	*pyenv.Environment
	DryRun   bool    `json:"dryRun"`
	Seconds  float64 `json:"seconds,omitempty"` // that making it took
	Activate string  `json:"activate"`
}

// WriteText prints what there is, and how to use it.
func (r *VenvReport) WriteText(w io.Writer) error {
	switch {
	case r.State == pyenv.Current:
		fmt.Fprintf(w, "%s is as it should be\n", r.Dir)
	case r.DryRun:
		fmt.Fprintf(w, "%s would be made, with Python %s, of\n", r.Dir, r.Python)
		if r.Library != "" {
			fmt.Fprintf(w, "  %s, from where it lies\n", r.Library)
		}
		for _, each := range slices.Concat(r.Requirements, r.Packages) {
			fmt.Fprintf(w, "  %s\n", each)
		}
	default:
		fmt.Fprintf(w, "made %s, with Python %s, in %.0f s\n", r.Dir, r.Python, r.Seconds)
	}
	if r.ImagePython != "" {
		fmt.Fprintf(w, "note: the services' Dockerfile begins with Python %s; --python takes another interpreter\n", r.ImagePython)
	}
	if r.DryRun && r.State != pyenv.Current {
		return nil
	}
	_, err := fmt.Fprintf(w, "to use it: %s\n", r.Activate)
	return err
}

// Venv makes a virtual environment for a Python service of a workspace, or with no name one for all of them, unless it is as
// it should be.
func Venv(ctx context.Context, st State, here, service string, opts VenvOptions) (*VenvReport, error) {
	dir, err := chooseWorkspace(st, here, opts.Workspace)
	if err != nil {
		return nil, err
	}
	e, err := pyenv.Plan(ctx, dir, service, opts.Python)
	if err != nil {
		return nil, err
	}
	r := &VenvReport{Environment: e, DryRun: opts.DryRun, Activate: e.Activate()}
	if opts.DryRun {
		return r, nil
	}
	began := time.Now()
	if err := e.Make(ctx); err != nil {
		return nil, err
	}
	if e.State == pyenv.Made {
		r.Seconds = time.Since(began).Seconds()
	}
	return r, nil
}
