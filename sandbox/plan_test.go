package sandbox

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

func quietPlan(phases ...Phase) *plan {
	return &plan{phases: phases, whole: context.Background(), scrub: func(err error) error { return err }, emit: func(string, PhaseReport) {}, update: func(string, progress.Update) {}}
}

func states(p *plan) map[string]PhaseState {
	out := map[string]PhaseState{}
	for _, r := range p.report() {
		out[r.Name] = r.State
	}
	return out
}

func TestPlanOrderAndOverlap(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var order []string
	log := func(s string) { mu.Lock(); order = append(order, s); mu.Unlock() }
	// b and c can only both end if they run at the same time.
	bBegan, cBegan := make(chan struct{}), make(chan struct{})
	p := quietPlan(
		Phase{Name: "d", Needs: []string{"b", "c"}, Do: func(context.Context) (string, error) { log("d"); return "", nil }},
		Phase{Name: "b", Needs: []string{"a"}, Do: func(context.Context) (string, error) { close(bBegan); <-cBegan; log("b"); return "", nil }},
		Phase{Name: "c", Needs: []string{"a"}, Do: func(context.Context) (string, error) { close(cBegan); <-bBegan; log("c"); return "", nil }},
		Phase{Name: "a", Do: func(context.Context) (string, error) { log("a"); return "fine", nil }},
	)
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if order[0] != "a" || order[3] != "d" {
		t.Errorf("order: %v", order)
	}
	for _, r := range p.report() {
		if r.Name == "b" && !slices.Equal(r.Beside, []string{"c"}) {
			t.Errorf("b ran beside %v, want c", r.Beside)
		}
	}
}

func TestPlanMet(t *testing.T) {
	t.Parallel()
	done := false
	phase := Phase{
		Name: "x",
		Met:  func(context.Context) (bool, error) { return done, nil },
		Do:   func(context.Context) (string, error) { done = true; return "", nil },
	}
	p := quietPlan(phase)
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := states(p)["x"]; got != Done {
		t.Errorf("first run: %s", got)
	}
	p = quietPlan(phase)
	if err := p.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := states(p)["x"]; got != Met {
		t.Errorf("second run: %s", got)
	}
	phase.Met = func(context.Context) (bool, error) { return false, nil }
	if err := quietPlan(phase).run(t.Context()); err == nil || !strings.Contains(err.Error(), "check") {
		t.Errorf("a phase whose check never holds: %v", err)
	}
}

func TestPlanFailure(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	slowBegan, wholeBegan := make(chan struct{}), make(chan struct{})
	p := quietPlan(
		Phase{Name: "bad", Do: func(context.Context) (string, error) { <-slowBegan; <-wholeBegan; return "", boom }},
		Phase{Name: "after", Needs: []string{"bad"}, Do: func(context.Context) (string, error) { t.Error("begun after a failure"); return "", nil }},
		Phase{Name: "slow", Do: func(ctx context.Context) (string, error) { close(slowBegan); <-ctx.Done(); return "", ctx.Err() }},
		Phase{Name: "whole", Whole: true, Do: func(ctx context.Context) (string, error) {
			close(wholeBegan)
			return "", ctx.Err() // never cancelled
		}},
	)
	err := p.run(t.Context())
	if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), "bad: ") {
		t.Errorf("error: %v", err)
	}
	want := map[string]PhaseState{"bad": Failed, "after": Waiting, "slow": Stopped, "whole": Done}
	for name, state := range states(p) {
		if state != want[name] {
			t.Errorf("%s: %s, want %s", name, state, want[name])
		}
	}
}

func TestPlanStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := quietPlan(Phase{Name: "slow", Do: func(ctx context.Context) (string, error) { cancel(); <-ctx.Done(); return "", ctx.Err() }})
	if err := p.run(ctx); err == nil {
		t.Error("a cancelled plan ended without an error")
	}
	p = quietPlan(Phase{Name: "never", Do: func(context.Context) (string, error) { t.Error("begun"); return "", nil }})
	if err := p.run(ctx); !errors.Is(err, ErrStopped) {
		t.Errorf("error: %v, want ErrStopped", err)
	}
}

// Whole phases outlive a stop of the plan, but not the end of the session.
func TestPlanWholePhaseEndsWithTheSession(t *testing.T) {
	t.Parallel()
	session, end := context.WithCancel(t.Context())
	ctx, stop := context.WithCancel(session)
	p := quietPlan(Phase{Name: "whole", Whole: true, Do: func(ctx context.Context) (string, error) {
		stop()
		if ctx.Err() != nil {
			t.Error("a stop reached a phase that is whole")
		}
		end()
		<-ctx.Done()
		return "", ctx.Err()
	}})
	p.whole = session
	if err := p.run(ctx); err == nil {
		t.Error("no error at the end of the session")
	}
}

func TestPlanUnknownNeed(t *testing.T) {
	t.Parallel()
	if err := quietPlan(Phase{Name: "a", Needs: []string{"z"}}).run(t.Context()); err == nil || !strings.Contains(err.Error(), `"z"`) {
		t.Errorf("error: %v", err)
	}
}
