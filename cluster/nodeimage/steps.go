package nodeimage

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// steps tells the context's reporter, every second, which step of how many runs, how long the build has taken and
// how long it is expected to take in all.
type steps struct {
	began time.Time
	n, of int
	left  time.Duration // expected for the steps that haven't begun
}

// expectAssembly is how long it takes to put the parts together, on two cores.
const expectAssembly = 25 * time.Second

func newSteps(missing []part) *steps {
	s := &steps{began: time.Now(), of: len(assemblySteps)}
	var unpack time.Duration
	for _, p := range missing {
		if p.name == rootfs.name { // it is made beside the others, and a step only where it takes longer
			unpack = p.expect
			continue
		}
		s.of++
		s.left += onThisMachine(p.expect)
	}
	s.left = max(s.left, unpack) + expectAssembly
	return s
}

// onThisMachine scales a time measured on two cores; compiling keeps all of them busy.
func onThisMachine(d time.Duration) time.Duration {
	return d * 2 / time.Duration(max(2, runtime.NumCPU()))
}

func (s *steps) elapsed() time.Duration { return time.Since(s.began) }

// run does one step, which is expected to take that long on this machine.
func (s *steps) run(ctx context.Context, what string, expect time.Duration, do func(context.Context) error) error {
	s.n++
	expect = max(0, expect)
	s.left = max(0, s.left-expect)
	stop, begin := make(chan struct{}), time.Now()
	n, left := s.n, s.left
	report := func() {
		elapsed := s.elapsed()
		progress.Report(ctx, progress.Update{
			What: fmt.Sprintf("node image: %s (step %d of %d)", what, n, s.of),
			Done: int64(elapsed.Seconds()), Total: int64((elapsed + max(0, expect-time.Since(begin)) + left).Seconds()), Unit: "s",
		})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			report()
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	}()
	err := do(ctx)
	close(stop)
	<-ended // no report of this step comes after the next one's
	return err
}
