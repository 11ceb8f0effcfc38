package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/engine"
	"github.com/dynsandbox/dynsandbox/internal/fault"
)

// Preview is what a bring-up would work with.
type Preview struct {
	Sandbox   string             `json:"sandbox"`
	Workspace string             `json:"workspace"`
	Phases    []string           `json:"phases"` // each after those that it needs
	Services  []ServiceStatus    `json:"services"`
	Agents    []string           `json:"agents"`
	Objects   []string           `json:"objects"`
	Omissions []cluster.Omission `json:"omissions,omitempty"`
	NotBuilt  []string           `json:"notBuilt,omitempty"`
	Warnings  fault.Invalids     `json:"warnings,omitempty"`
	Lacks     []images.Lack      `json:"lacks,omitempty"` // offline: what is needed and isn't on this machine
}

// DryRun reads and checks the workspace as a bring-up would, and says what would be brought up. It changes nothing, and
// needs neither a session nor, unless it is to be offline, an engine. dir is the folder from which a workspace is looked for.
func DryRun(ctx context.Context, st State, want Settings, dir string, strict bool) (*Preview, error) {
	record, err := st.Read()
	if err != nil && !errors.Is(err, ErrNoSandbox) {
		return nil, err
	}
	if err := record.set(st.Name, want, dir); err != nil {
		return nil, err
	}
	w, err := readWorkspace(record.Workspace, record.BrokerPassword, strict)
	if err != nil {
		return nil, err
	}
	p := &Preview{Sandbox: st.Name, Workspace: w.dir, NotBuilt: notBuilt(w.found), Warnings: w.launch.Warnings}
	for _, ph := range newBringUp(nil, UpOptions{}, newFeed(nil)).plan(context.Background()).phases {
		p.Phases = append(p.Phases, ph.Name)
	}
	for _, s := range w.found.Services {
		p.Services = append(p.Services, ServiceStatus{Name: s.Name, Language: s.Language, Image: images.Normalised(s.Refs[0])})
	}
	for _, a := range w.agents {
		p.Agents = append(p.Agents, a.Name)
	}
	for _, o := range w.rendered.Objects {
		p.Objects = append(p.Objects, o.ID())
	}
	p.Omissions = w.rendered.Omissions
	if record.Offline {
		p.Lacks, err = lacksOf(ctx, st, record, w)
	}
	return p, err
}

// lacksOf returns what a bring-up offline would be refused for.
func lacksOf(ctx context.Context, st State, record Record, w *workspace) ([]images.Lack, error) {
	docker, err := engine.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer docker.Close()
	b := newBringUp(&session{state: st, docker: docker}, UpOptions{}, newFeed(nil))
	b.record, b.workspace = record, w
	if b.cache, err = CacheDir(); err != nil {
		return nil, err
	}
	return b.lacks(ctx)
}

// WriteText prints the preview for people.
func (p *Preview) WriteText(w io.Writer) error {
	for _, v := range p.Warnings {
		fmt.Fprintln(w, v.Error())
	}
	fmt.Fprintf(w, "sandbox    %s\nworkspace  %s\nphases     %s\nagents     %s\n",
		p.Sandbox, p.Workspace, strings.Join(p.Phases, ", "), strings.Join(p.Agents, ", "))
	for _, s := range p.Services {
		fmt.Fprintf(w, "build      %s (%s) as %s\n", s.Name, s.Language, s.Image)
	}
	for _, o := range p.Objects {
		fmt.Fprintf(w, "apply      %s\n", o)
	}
	writeOmissions(w, p.Omissions)
	for _, n := range p.NotBuilt {
		fmt.Fprintf(w, "not built  %s\n", n)
	}
	for _, l := range p.Lacks {
		fmt.Fprintf(w, "missing    %s\n", l)
	}
	_, err := fmt.Fprintln(w, "nothing was changed")
	return err
}
