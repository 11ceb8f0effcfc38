package sandbox

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Summary is what there is when a bring-up is through.
type Summary struct {
	Sandbox   string        `json:"sandbox"`
	Workspace string        `json:"workspace"`
	Seconds   float64       `json:"seconds"`
	Endpoints []Endpoint    `json:"endpoints"`
	Phases    []PhaseReport `json:"phases"`
	Omissions []string      `json:"omissions,omitempty"`
	NotBuilt  []string      `json:"notBuilt,omitempty"`
	Scenario  *ReplayReport `json:"scenario,omitempty"` // nil when it was left out, or passed before and nothing changed since
}

// summary leaves what the session keeps from this bring-up, and returns it.
func (b *bringUp) summary() (Summary, error) {
	c, err := b.describe()
	if err != nil {
		return Summary{}, err
	}
	r := &ready{workspace: b.workspace, cluster: c, client: b.client}
	s := b.session
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds.ready = r
	sum := Summary{
		Sandbox: s.state.Name, Workspace: b.workspace.dir, Seconds: time.Since(b.began).Seconds(),
		Endpoints: r.endpoints(s.holds.entry, b.record), Phases: s.up.plan.report(),
		NotBuilt: notBuilt(b.workspace.found), Scenario: b.replayed,
	}
	for _, o := range b.workspace.rendered.Omissions {
		sum.Omissions = append(sum.Omissions, o.String())
	}
	return sum, nil
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
	for _, o := range s.Omissions {
		fmt.Fprintf(w, "left out   %s\n", o)
	}
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
	_, err := fmt.Fprintf(w, "try: dynsandbox status, dynsandbox replay, dynsandbox kubectl get pods -A\n")
	return err
}
