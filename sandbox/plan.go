package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Phase is one part of a bring-up. A second bring-up (after Ctrl-C, a kill, a reboot) does only what isn't met.
type Phase struct {
	Name  string
	Needs []string // names of phases; phases with no path between them run at the same time

	// Met reports whether there is nothing to do. It must be quick and change nothing. It is asked before Do, and
	// after it: a Do that doesn't lead to Met is an error. A nil Met means that Do is always run.
	Met func(ctx context.Context) (bool, error)

	// Do does the work, reports to progress.Report, and returns what came of it in a few words.
	Do func(ctx context.Context) (string, error)

	// Whole is set where a break half-way would throw the work away: when another phase fails, or the user asks to
	// stop, this one is let finish. Only the end of the session cuts it short.
	Whole bool
}

// PhaseState is how far a phase is.
type PhaseState string

// The states of a phase, in the order in which it goes through them.
const (
	Waiting PhaseState = "waiting"
	Running PhaseState = "running"
	Done    PhaseState = "done"
	Met     PhaseState = "met" // there was nothing to do
	Failed  PhaseState = "failed"
	Stopped PhaseState = "stopped" // broken off, because another failed or the user asked for it
)

// PhaseReport is what became of a phase.
type PhaseReport struct {
	Name    string     `json:"name"`
	State   PhaseState `json:"state"`
	Began   time.Time  `json:"began,omitzero"`
	Seconds float64    `json:"seconds"`
	Beside  []string   `json:"beside,omitempty"` // the phases that ran at the same time
	Text    string     `json:"text,omitempty"`   // what came of it, or the error
}

// ErrStopped is the error of a bring-up that was asked to stop.
var ErrStopped = errors.New("stopped at a safe point")

// plan runs phases. It is used once.
type plan struct {
	phases []Phase
	whole  context.Context                            // what phases that are Whole run under
	scrub  func(error) error                          // takes secrets out of what is reported
	emit   func(phase string, report PhaseReport)     // a phase changed its state
	update func(phase string, update progress.Update) // a running phase is so far

	mu      sync.Mutex
	reports map[string]*PhaseReport
}

// run runs the phases in the order of their needs. When one fails no other is begun, those running are
// cancelled (but for Whole ones) and waited for, and the first error is returned. Cancelling ctx does the same.
func (p *plan) run(ctx context.Context) error {
	reports, finished := map[string]*PhaseReport{}, map[string]chan struct{}{}
	for _, ph := range p.phases {
		reports[ph.Name] = &PhaseReport{Name: ph.Name, State: Waiting}
		finished[ph.Name] = make(chan struct{})
	}
	p.mu.Lock()
	p.reports = reports
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, ph := range p.phases {
		for _, need := range ph.Needs {
			if finished[need] == nil {
				return fmt.Errorf("phase %q needs %q, which doesn't exist", ph.Name, need)
			}
		}
		wg.Go(func() {
			for _, need := range ph.Needs {
				select {
				case <-finished[need]:
				case <-ctx.Done():
					return
				}
			}
			if ctx.Err() != nil {
				return
			}
			if err := p.one(ctx, ph); err != nil {
				cancel(fmt.Errorf("%s: %w", ph.Name, err))
				return
			}
			close(finished[ph.Name])
		})
	}
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, context.Canceled) {
			return ErrStopped
		}
		return cause
	}
	return nil
}

// one runs a single phase: asks, does, asks again.
func (p *plan) one(ctx context.Context, ph Phase) (err error) {
	own := ctx
	if ph.Whole {
		own = p.whole
	}
	own = progress.With(own, func(u progress.Update) { p.update(ph.Name, u) })
	began := time.Now()
	p.set(ph.Name, func(r *PhaseReport) {
		r.State, r.Began = Running, began
		for name, other := range p.reports {
			if other.State == Running && name != ph.Name {
				r.Beside = append(r.Beside, name)
				other.Beside = append(other.Beside, ph.Name)
			}
		}
		slices.Sort(r.Beside)
	})
	state, text := Done, ""
	defer func() {
		p.set(ph.Name, func(r *PhaseReport) {
			r.State, r.Text, r.Seconds = state, text, time.Since(began).Seconds()
			if err != nil {
				r.State, r.Text = Failed, p.scrub(err).Error()
				if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
					r.State = Stopped
				}
			}
			slices.Sort(r.Beside)
		})
	}()
	if ph.Met != nil {
		met, err := ph.Met(own)
		if err != nil {
			return err
		}
		if met {
			state = Met
			return nil
		}
	}
	if text, err = ph.Do(own); err != nil {
		return err
	}
	if ph.Met != nil {
		met, err := ph.Met(own)
		if err != nil {
			return err
		}
		if !met {
			return errors.New("it was done, but its check still says that it isn't")
		}
	}
	return nil
}

// set changes a phase's report and tells about it.
func (p *plan) set(name string, change func(*PhaseReport)) {
	p.mu.Lock()
	change(p.reports[name])
	copied := *p.reports[name]
	copied.Beside = slices.Clone(copied.Beside)
	p.mu.Unlock()
	p.emit(name, copied)
}

// report returns how far the phases are, in the order of the plan.
func (p *plan) report() []PhaseReport {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]PhaseReport, 0, len(p.phases))
	for _, ph := range p.phases {
		if r := p.reports[ph.Name]; r != nil {
			c := *r
			if c.State == Running {
				c.Seconds = time.Since(c.Began).Seconds()
			}
			c.Beside = slices.Clone(c.Beside)
			out = append(out, c)
		}
	}
	return out
}
