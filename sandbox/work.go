package sandbox

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// work is held by who changes the platform: a bring-up, a reload. A reload that waits for Pods lets others go on meanwhile; its
// task tells them which Pods to leave alone. So what hangs holds up only what concerns the same Pods.
type work struct {
	mutex sync.Mutex
	let   sync.Cond // somebody has let go of it
	alone int       // how many have it, or want it, while nothing is under way
	lent  int       // how many let others have it for a while, see meanwhile

	mu    sync.Mutex // guards what follows and what tasks say: who asks for it need not wait for who has the work
	tasks []*task
}

// task is one change on its way into the platform.
type task struct {
	*work
	of        []string  // services, or workspaceItself
	tag       string    // ends the names of its images, when it restarts Pods in place
	workloads []string  // IDs of those whose Pods nobody else may touch
	began     time.Time // when it was first under way
	at        string    // what is being done, or waited for

	newer context.Context // ends when there is a newer change of it
	tell  context.CancelFunc
}

// Lock waits until nobody else has the work.
func (w *work) Lock() { w.mutex.Lock() }

// Unlock lets go of it; who waits in [work.until] looks again.
func (w *work) Unlock() {
	w.let.Broadcast()
	w.mutex.Unlock()
}

// lockAlone waits until nothing is under way either, and keeps it so until unlockAlone. Tasks that it renews are told, as is any
// newer change. When ctx ends before, nothing is locked.
func (w *work) lockAlone(ctx context.Context, renews func(*task) bool) error {
	w.Lock()
	w.alone++
	err := w.until(ctx, func() bool {
		for _, t := range w.with(renews) {
			t.tell()
		}
		return w.lent == 0 && len(w.underWay()) == 0
	})
	if err != nil {
		w.unlockAlone()
	}
	return err
}

// workAlone is lockAlone of the session's work, for somebody who is told what is waited for.
func (s *session) workAlone(ctx context.Context, told *feed, renews func(*task) bool) error {
	for _, u := range s.work.report() {
		told.note("waits for what is under way: " + u.String())
	}
	return s.work.lockAlone(ctx, renews)
}

// everything is what a bring-up renews.
func everything(*task) bool { return true }

func (w *work) unlockAlone() {
	w.alone--
	w.Unlock()
}

// until lets others have the work until ok, which is asked again whenever one of them has let go of it, or ctx ends.
func (w *work) until(ctx context.Context, ok func() bool) error {
	w.let.L = &w.mutex
	defer context.AfterFunc(ctx, func() { w.Lock(); w.Unlock() })() //nolint:staticcheck // it wakes those who wait
	w.let.Broadcast()                                               // before the loop, or two would wake each other for ever
	for !ok() {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.let.Wait()
	}
	return ctx.Err()
}

// meanwhile lets others have the work while f waits for Pods.
func (w *work) meanwhile(f func()) {
	w.lent++
	w.Unlock()
	defer func() {
		w.Lock()
		w.lent--
	}()
	f()
}

// begin notes that a change is under way.
func (w *work) begin(t *task) *task {
	t.work, t.began = w, time.Now()
	t.newer, t.tell = context.WithCancel(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tasks = append(w.tasks, t)
	return t
}

// end notes that it is through, one way or the other.
func (t *task) end() {
	t.tell()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tasks = slices.DeleteFunc(t.tasks, func(other *task) bool { return other == t })
}

func (w *work) underWay() []*task {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.tasks)
}

// with returns the tasks for which f is true.
func (w *work) with(f func(*task) bool) []*task {
	return slices.DeleteFunc(w.underWay(), func(t *task) bool { return !f(t) })
}

// touching returns the tasks that have the Pods of one of the workloads for themselves.
func (w *work) touching(workloads []string) []*task {
	return w.with(func(t *task) bool {
		return slices.ContainsFunc(t.workloads, func(id string) bool { return slices.Contains(workloads, id) })
	})
}

// ofWorkspace returns the tasks that bring in launch files and charts.
func (w *work) ofWorkspace() []*task {
	return w.with(func(t *task) bool { return slices.Contains(t.of, workspaceItself) })
}

// restarting reports whether a workload's Pods are being restarted in place.
func (w *work) restarting(workload string) bool {
	return slices.ContainsFunc(w.touching([]string{workload}), func(t *task) bool { return t.tag != "" })
}

// doing returns a context under which reports of progress say what the task is at.
func (t *task) doing(ctx context.Context, what string) context.Context {
	say := func(what string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.at = what
	}
	say(what)
	return progress.With(ctx, func(u progress.Update) { say(u.What) })
}

// patience is how long something may take to start while a newer change of it waits: a start takes a second, as a rule.
const patience = 5 * time.Second

// patient returns a context for waiting until something is ready, which ends with the error errNewer when there is a newer
// change of the task.
func (t *task) patient(ctx context.Context) (context.Context, func()) {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(t.newer, func() {
		if sleep(ctx, patience-time.Since(began)) == nil {
			cancel(errNewer)
		}
	})
	return ctx, func() { stop(); cancel(nil) }
}

// UnderWay is a change that is being brought into the platform.
type UnderWay struct {
	Services []string  `json:"services,omitempty"` // none: launch files and charts
	Since    time.Time `json:"since"`
	At       string    `json:"at,omitempty"` // what is being done, or waited for
}

// report returns what is under way, in the order in which it was begun.
func (w *work) report() []UnderWay {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []UnderWay
	for _, t := range w.tasks {
		u := UnderWay{Since: t.began, At: t.at}
		if !slices.Equal(t.of, []string{workspaceItself}) {
			u.Services = t.of
		}
		out = append(out, u)
	}
	slices.SortStableFunc(out, func(a, b UnderWay) int { return a.Since.Compare(b.Since) })
	return out
}

// String says it for people.
func (u UnderWay) String() string {
	s := cmp.Or(strings.Join(u.Services, ", "), workspaceItself) + " for " + time.Since(u.Since).Round(time.Second).String()
	if u.At != "" {
		s += ": " + u.At
	}
	return s
}
