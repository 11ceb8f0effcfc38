package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/sandbox/scaffold"
)

// ScaffoldOptions say what is done with the changes that were worked out.
type ScaffoldOptions struct {
	Workspace string // "": the sandbox's, or the one that the current folder lies in
	DryRun    bool   // work them out, and change nothing
	Force     bool   // of a removal: also what was worked on since
}

// ScaffoldReport is what became of a workspace to which something was added, or from which it was removed.
type ScaffoldReport struct {
	Name      string     `json:"name"`
	Workspace string     `json:"workspace"`
	DryRun    bool       `json:"dryRun"`
	Files     []FileKind `json:"files"`
	Diff      string     `json:"diff,omitempty"` // of a dry run
	Notes     []string   `json:"notes,omitempty"`
	Live      *Live      `json:"live,omitempty"` // where a sandbox runs the workspace
}

// FileKind says what became of a file.
type FileKind struct {
	Path string `json:"path"` // relative to the workspace
	Kind string `json:"kind"` // created, changed or removed
}

// Live says when a change was in the running platform.
type Live struct {
	Seconds  float64       `json:"seconds"`            // from the files' being written
	Scenario *ReplayReport `json:"scenario,omitempty"` // of what was added
}

// WriteText prints a dry run as a diff that can be applied: what applies one skips notes before it.
func (r *ScaffoldReport) WriteText(w io.Writer) error {
	for _, f := range r.Files {
		if !r.DryRun {
			fmt.Fprintf(w, "%-8s %s\n", f.Kind, f.Path)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
	if r.DryRun {
		_, err := io.WriteString(w, r.Diff)
		return err
	}
	if r.Live == nil {
		return nil
	}
	_, err := fmt.Fprintf(w, "in the running platform after %.1f s\n", r.Live.Seconds)
	if err == nil && r.Live.Scenario != nil {
		err = r.Live.Scenario.WriteText(w)
	}
	return err
}

// Passed reports whether what was added works, as far as it runs.
func (r *ScaffoldReport) Passed() bool {
	return r.Live == nil || r.Live.Scenario == nil || r.Live.Scenario.Passed
}

// AddMicroservice writes a new service into a workspace. Where the sandbox runs that, it returns when the service is in the
// platform and its scenario was run. What goes wrong there leaves the files as they were written: a report comes with the
// error then, and its Files say so.
func AddMicroservice(ctx context.Context, st State, here string, m scaffold.Microservice, opts ScaffoldOptions) (*ScaffoldReport, error) {
	w, notes, err := scaffoldWorkspace(st, here, opts)
	if err != nil {
		return nil, err
	}
	added, err := scaffold.AddMicroservice(w, m)
	if err != nil {
		return nil, err
	}
	r := &ScaffoldReport{Name: m.Name, Workspace: w.Dir, DryRun: opts.DryRun, Notes: append(notes, added.Notes...)}
	return r, r.carryOut(ctx, st, added.Changes, m.Name, added.Scenario)
}

// AddArchetype writes a new archetype into a workspace, as [AddMicroservice] does a service.
func AddArchetype(ctx context.Context, st State, here string, a scaffold.Archetype, opts ScaffoldOptions) (*ScaffoldReport, error) {
	w, notes, err := scaffoldWorkspace(st, here, opts)
	if err != nil {
		return nil, err
	}
	changes, err := scaffold.AddArchetype(w, a)
	if err != nil {
		return nil, err
	}
	r := &ScaffoldReport{Name: a.Name, Workspace: w.Dir, DryRun: opts.DryRun, Notes: notes}
	return r, r.carryOut(ctx, st, changes, "", a.Name)
}

// AddAgent writes a new party into a workspace, as [AddMicroservice] does a service.
func AddAgent(ctx context.Context, st State, here string, a scaffold.Agent, opts ScaffoldOptions) (*ScaffoldReport, error) {
	w, notes, err := scaffoldWorkspace(st, here, opts)
	if err != nil {
		return nil, err
	}
	added, err := scaffold.AddAgent(w, a)
	if err != nil {
		return nil, err
	}
	r := &ScaffoldReport{Name: a.Name, Workspace: w.Dir, DryRun: opts.DryRun, Notes: append(notes, added.Notes...)}
	return r, r.carryOut(ctx, st, added.Changes, "", added.Scenario)
}

// AddThirdParty writes a new third party into a workspace, as [AddMicroservice] does a service.
func AddThirdParty(ctx context.Context, st State, here string, p scaffold.ThirdParty, opts ScaffoldOptions) (*ScaffoldReport, error) {
	w, notes, err := scaffoldWorkspace(st, here, opts)
	if err != nil {
		return nil, err
	}
	changes, err := scaffold.AddThirdParty(w, p)
	if err != nil {
		return nil, err
	}
	r := &ScaffoldReport{Name: p.Name, Workspace: w.Dir, DryRun: opts.DryRun, Notes: notes}
	return r, r.carryOut(ctx, st, changes, "", strings.ToLower(p.Name))
}

// RemoveMicroservice undoes [AddMicroservice].
func RemoveMicroservice(ctx context.Context, st State, here, name string, opts ScaffoldOptions) (*ScaffoldReport, error) {
	return unscaffold(ctx, st, here, name, opts, scaffold.RemoveMicroservice)
}

// RemoveArchetype undoes [AddArchetype].
func RemoveArchetype(ctx context.Context, st State, here, name string, opts ScaffoldOptions) (*ScaffoldReport, error) {
	return unscaffold(ctx, st, here, name, opts, scaffold.RemoveArchetype)
}

// RemoveAgent undoes [AddAgent] and [AddThirdParty].
func RemoveAgent(ctx context.Context, st State, here, name string, opts ScaffoldOptions) (*ScaffoldReport, error) {
	return unscaffold(ctx, st, here, name, opts, scaffold.RemoveAgent)
}

func unscaffold(ctx context.Context, st State, here, name string, opts ScaffoldOptions, workOut func(scaffold.Workspace, string, bool) (scaffold.Changes, error)) (*ScaffoldReport, error) {
	w, notes, err := scaffoldWorkspace(st, here, opts)
	if err != nil {
		return nil, err
	}
	changes, err := workOut(w, name, opts.Force)
	if err != nil {
		return nil, err
	}
	environments, err := changes.Environments(w.Dir)
	if err != nil {
		return nil, err
	}
	before, _ := renderAgents(w.Dir) // broken charts are `up`'s to complain about
	r := &ScaffoldReport{Name: name, Workspace: w.Dir, DryRun: opts.DryRun, Notes: append(notes, environments...)}
	err = r.carryOut(ctx, st, changes, "", "")
	if r.Live != nil {
		after, _ := renderAgents(w.Dir)
		for _, namespace := range before.Kept {
			if !slices.Contains(after.Namespaces, namespace) {
				r.Notes = append(r.Notes, "namespace "+namespace+" stays in the cluster, as its chart asks for; what Jobs its last requests have left there goes within half a minute")
			}
		}
	}
	return r, err
}

// carryOut makes the changes, and waits until what runs has taken them in: a service, or everything where none was added. Then
// the scenario is run, if there is one.
func (r *ScaffoldReport) carryOut(ctx context.Context, st State, changes scaffold.Changes, service, scenario string) (err error) {
	if r.DryRun {
		r.Diff, err = changes.Diff()
	} else {
		err = changes.Apply(r.Workspace)
	}
	if err != nil {
		return err
	}
	for _, c := range changes {
		r.Files = append(r.Files, FileKind{c.Path, c.Kind()})
	}
	if r.DryRun {
		return nil
	}
	began := time.Now()
	client, err := r.session(ctx, st)
	if client == nil {
		return err
	}
	defer client.Close()
	switch err := client.Await(ctx, service); {
	case errors.Is(err, ErrNotReady):
		return nil
	case err != nil:
		return fmt.Errorf("the files are written, but: %w", err)
	}
	r.Live = &Live{Seconds: time.Since(began).Seconds()}
	if scenario != "" {
		r.Live.Scenario, err = client.Replay(ctx, []string{scenario})
	}
	return err
}

// session returns a client of the sandbox's session, or nil where it runs another workspace or doesn't run.
func (r *ScaffoldReport) session(ctx context.Context, st State) (*Client, error) {
	record, err := st.Read()
	if errors.Is(err, ErrNoSandbox) || err == nil && !sameFolder(record.Workspace, r.Workspace) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	client, err := Dial(ctx, st)
	if errors.Is(err, ErrNoSession) {
		r.Notes = append(r.Notes, "the sandbox doesn't run: the next up brings this in")
		return nil, nil
	}
	return client, err
}

func sameFolder(a, b string) bool {
	real := func(dir string) string {
		if r, err := filepath.EvalSymlinks(dir); err == nil {
			return r
		}
		return dir
	}
	return real(a) == real(b)
}

// scaffoldWorkspace finds the workspace to change, and which agents it has. What an earlier command left half-done there is
// taken back first.
func scaffoldWorkspace(st State, here string, opts ScaffoldOptions) (w scaffold.Workspace, notes []string, err error) {
	dir, err := chooseWorkspace(st, here, opts.Workspace)
	if err != nil {
		return w, nil, err
	}
	if opts.DryRun {
		err = scaffold.Pending(dir)
	} else {
		var files []string
		if files, err = scaffold.Recover(dir); len(files) > 0 {
			notes = append(notes, "an earlier command was killed while it changed the workspace; taken back: "+strings.Join(files, ", "))
		}
	}
	if err != nil {
		return w, nil, err
	}
	w = scaffold.Workspace{Dir: dir, LaunchFiles: launchFilesDir, Scenarios: scenariosDir, Render: renderAgents}
	// Broken charts are `up`'s to complain about.
	if d, err := renderAgents(dir); err == nil {
		w.Agents = slices.Sorted(maps.Keys(d.Agents))
	}
	return w, notes, nil
}

func renderAgents(dir string) (d scaffold.Deployment, err error) {
	rendered, err := cluster.RenderWorkspace(dir, nil)
	if err != nil {
		return d, err
	}
	d.Agents = map[string]string{}
	for _, a := range agents(rendered.Objects) {
		d.Agents[a.Name] = a.Namespace
	}
	for _, o := range rendered.Objects {
		if o.GetKind() == "Namespace" {
			d.Namespaces = append(d.Namespaces, o.GetName())
			if o.Kept() {
				d.Kept = append(d.Kept, o.GetName())
			}
		}
	}
	return d, nil
}
