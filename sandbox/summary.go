package sandbox

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
)

// Summary is what there is when a bring-up is through.
type Summary struct {
	Sandbox   string             `json:"sandbox"`
	Workspace string             `json:"workspace"`
	Seconds   float64            `json:"seconds"`
	Endpoints []Endpoint         `json:"endpoints"`
	Phases    []PhaseReport      `json:"phases"`
	Omissions []cluster.Omission `json:"omissions,omitempty"`
	NotBuilt  []string           `json:"notBuilt,omitempty"`
	Scenario  *ReplayReport      `json:"scenario,omitempty"` // nil when none was run
	Verified  *Verified          `json:"verified,omitempty"` // instead: the scenario passed before, and nothing has changed since
}

// summary leaves what the session keeps from this bring-up, and returns it.
func (b *bringUp) summary() (Summary, error) {
	r := b.session.keepReady(b)
	s := b.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds.reloader.retire()
	s.holds.reloader = newReloader(b)
	sum := Summary{
		Sandbox: s.state.Name, Workspace: b.workspace.dir, Seconds: time.Since(b.began).Seconds(),
		Endpoints: endpoints(s.holds.entry, b.record, r), Phases: s.up.plan.report(),
		Omissions: b.workspace.rendered.Omissions, NotBuilt: notBuilt(b.workspace.found), Scenario: b.replayed,
	}
	if b.replayed == nil && !b.opts.NoScenario {
		sum.Verified = &b.record.Verified
	}
	return sum, nil
}

// leave has reloads go on after a bring-up that failed, if the one before it came through: with what this one has deployed,
// or with what was there before. In between, where images are on the nodes that the Pods don't run, only another bring-up
// can tell what runs, and reloads are refused until then.
func (b *bringUp) leave(before *reloader) {
	if before == nil {
		return
	}
	s := b.session
	if b.deployed {
		s.keepReady(b)
	} else if b.client != nil {
		before.bring.client = b.client // the cluster may have been made anew
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case b.deployed:
		before.retire()
		s.holds.reloader = newReloader(b)
	case b.started || b.loaded && b.built != nil || b.record.Workspace != before.dir:
		before.retire()
		s.holds.reloader = nil
	}
}

// Failed returns an error when the scenario didn't pass.
func (s *Summary) Failed() error {
	if s.Scenario != nil && !s.Scenario.Passed {
		return errors.New("the platform is up, but its scenario failed")
	}
	return nil
}

// WriteText prints the summary for people. took is the whole time, as the user saw it.
func (s *Summary) WriteText(w io.Writer, took time.Duration) error {
	writeOmissions(w, s.Omissions)
	for _, n := range s.NotBuilt {
		fmt.Fprintf(w, "not built  %s\n", n)
	}
	fmt.Fprintf(w, "\nready in %.1f s\n", took.Seconds())
	for _, e := range s.Endpoints {
		fmt.Fprintf(w, "  %-24s %s\n", e.Name, e.URL)
	}
	if s.Scenario != nil {
		var b strings.Builder
		if err := s.Scenario.WriteText(&b); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s", b.String())
	}
	if v := s.Verified; v != nil {
		fmt.Fprintf(w, "scenario %-28s passed at %s; nothing has changed since\n", v.Scenario, v.At.Local().Format(time.DateTime))
	}
	_, err := fmt.Fprintf(w, "try: dynsandbox status, dynsandbox replay, dynsandbox kubectl get pods -A\n")
	return err
}
