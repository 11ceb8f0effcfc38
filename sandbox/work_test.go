package sandbox

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/images"
	"github.com/dynsandbox/dynsandbox/internal/progress"
)

// Others have the work while one waits for Pods, but for those who want it with nothing else under way; who waits for them to
// be through sees it.
func TestWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w work
		var did []string
		ready := make(chan bool)
		go func() {
			w.Lock()
			defer w.Unlock()
			hangs := w.begin(&task{of: []string{"agent"}, workloads: []string{"Deployment uva/uva"}})
			w.meanwhile(func() { <-ready })
			hangs.end()
			did = append(did, "agent")
		}()
		synctest.Wait()
		go func() {
			if w.lockAlone(t.Context(), everything) != nil {
				return
			}
			defer w.unlockAlone()
			did = append(did, "up")
		}()
		go func() {
			w.Lock()
			defer w.Unlock()
			if w.until(t.Context(), func() bool { return len(w.touching([]string{"Deployment uva/uva"})) == 0 && w.alone == 0 }) == nil {
				did = append(did, "the same Pods")
			}
		}()
		synctest.Wait()
		w.Lock()
		did = append(did, "other Pods")
		given, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.until(given, func() bool { return false }); !errors.Is(err, context.Canceled) {
			t.Errorf("who has given up waits: %v", err)
		}
		w.Unlock()
		if err := w.lockAlone(given, everything); !errors.Is(err, context.Canceled) {
			t.Errorf("who has given up has it alone: %v", err)
		}
		close(ready)
		synctest.Wait()
		w.Lock()
		defer w.Unlock()
		if got := strings.Join(did, ", "); got != "other Pods, agent, up, the same Pods" {
			t.Error(got)
		}
	})
}

// Who waits is asked again when what it waits for has happened, although who did it waits itself.
func TestWhoWaitsBesideOthersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w work
		happened, told := false, false
		go func() {
			w.Lock()
			defer w.Unlock()
			told = w.until(t.Context(), func() bool { return happened }) == nil
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			w.Lock()
			defer w.Unlock()
			happened = true
			_ = w.until(ctx, func() bool { return false })
		}()
		synctest.Wait()
		w.Lock()
		if !told {
			t.Error("it isn't told")
		}
		w.Unlock()
		cancel()
	})
}

// Who has it alone comes after all of what is under way, which includes what follows when the last Pods are ready; and it is
// in a hurry for what it renews.
func TestAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w work
		var did []string
		ready, through := make(chan bool), make(chan bool)
		var agent, other *task
		go func() {
			w.Lock()
			defer w.Unlock()
			agent, other = w.begin(&task{of: []string{"agent"}}), w.begin(&task{of: []string{"other"}})
			w.meanwhile(func() {
				<-ready
				w.Lock()
				agent.end()
				other.end()
				w.Unlock()
				<-through
			})
			did = append(did, "what follows")
		}()
		synctest.Wait()
		go func() {
			if w.lockAlone(t.Context(), func(t *task) bool { return t == agent }) == nil {
				did = append(did, "alone")
				w.unlockAlone()
			}
		}()
		synctest.Wait()
		if agent.newer.Err() == nil || other.newer.Err() != nil {
			t.Error("not what it renews is waited for no longer")
		}
		close(ready)
		synctest.Wait()
		close(through)
		synctest.Wait()
		if got := strings.Join(did, ", "); got != "what follows, alone" {
			t.Error(got)
		}
	})
}

// What is saved again while it starts isn't waited for any longer.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{events: newFeed(nil)}
		r := newReloader(&bringUp{session: s, workspace: &workspace{}})
		agent, other := s.work.begin(&task{of: []string{"agent"}}), s.work.begin(&task{of: []string{"other"}})
		began := time.Now()
		ctx, done := agent.patient(t.Context())
		defer done()
		unhurried, stop := other.patient(t.Context())
		defer stop()
		r.await("agent", images.Reason{})
		<-ctx.Done()
		if took := time.Since(began); took != patience {
			t.Errorf("it was waited for %v", took)
		}
		if err := orNewer(ctx, ctx.Err()); !errors.Is(err, errNewer) {
			t.Errorf("%v", err)
		}
		if orNewer(ctx, nil) != nil {
			t.Error("it was ready, and counts as broken off")
		}
		if unhurried.Err() != nil {
			t.Error("another service isn't waited for either")
		}
	})
}

// While a service is under way, those that share its Pods wait for it, others don't, and it isn't lost that it changes again.
func TestServicesBesideAHangingOne(t *testing.T) {
	t.Parallel()
	s := &session{state: stateIn(t), events: newFeed(nil)}
	w := &workspace{rendered: &cluster.Rendered{}}
	for _, called := range []string{"agent", "gateway", "job", "sidecar"} {
		w.found.Services = append(w.found.Services, images.Service{Name: called, Refs: builtOf(t, called, "a/"+called+":main").Service.Refs})
	}
	uva, gateway := deploymentOf("a/agent:main", "a/sidecar:main"), deploymentOf("a/gateway:main")
	gateway.SetName("gateway")
	w.rendered.Objects = []cluster.Object{uva, gateway}
	r := newReloader(&bringUp{session: s, workspace: w})
	s.holds.reloader = r
	takeUp := func() string {
		var names []string
		for _, s := range r.takeUp() {
			names = append(names, s.Name)
		}
		return strings.Join(names, " ")
	}
	r.await("agent", images.Reason{})
	if got := takeUp(); got != "agent" {
		t.Fatalf("taken up: %s", got)
	}
	hangs := s.work.begin(&task{of: []string{"agent"}, tag: "1", workloads: []string{uva.ID()}})
	for _, name := range []string{"gateway", "job", "sidecar", "agent"} {
		r.await(name, images.Reason{})
	}
	if got := takeUp(); got != "gateway job" {
		t.Errorf("beside what hangs: %s", got)
	}
	r.done("gateway", time.Now(), "")
	r.refuse(errors.New("no"), "job")
	for service, want := range map[string]bool{"gateway": false, "job": false, "sidecar": true, "agent": true, "": true} {
		if got := r.undecided(service); got != want {
			t.Errorf("%q is undecided: %v", service, got)
		}
	}
	if got := r.held(); len(got) != 2 || len(r.idle(got)) != 1 { // agent and sidecar, of which the agent is under way
		t.Errorf("held: %v", got)
	}
	r.refuse(errNewer, "agent")
	hangs.end()
	if got := takeUp(); got != "agent job sidecar" {
		t.Errorf("afterwards: %s", got)
	}
	r.await("agent", images.Reason{})
	r.done("agent", time.Now(), "") // as it was before that
	if got := takeUp(); got != "agent" {
		t.Errorf("what has changed again: %s", got)
	}
	r.refuse(errNewer, "sidecar") // which was under way with the agent, and has not changed
	if !r.undecided("sidecar") || len(r.idle(r.held())) != 1 {
		t.Error("what wasn't waited for, as something else has changed again, isn't taken up again")
	}
	for _, name := range []string{"agent", "job", "sidecar"} {
		r.done(name, time.Now(), "")
	}
	if r.undecided("") || len(r.held()) > 0 {
		t.Error("all are in, and something is to come")
	}
	if r.charts++; !r.undecided("") || r.undecided("agent") || !r.undecided("new") {
		t.Error("charts under way concern all, and a service that they may bring, but none that is there")
	}
}

// A workload whose Pods are being restarted keeps its template; charts that change it wait, others don't.
func TestChartsBesideARestart(t *testing.T) {
	t.Parallel()
	o := deploymentOf("a/agent:main")
	before := map[string]Image{"docker.io/a/agent:main": {ID: "1"}}
	during := Record{Images: before, InPlace: map[string]InPlace{o.ID(): {Annotation: annotation(o, before, nil)}}}
	if p, err := pinned(o, during); err != nil || podTemplate(p)["metadata"].(map[string]any)["annotations"].(map[string]any)[annotationImages] == annotation(o, before, nil) {
		t.Fatalf("after a kill the Pods would not be replaced: %v", err)
	}
	if p, err := pinned(o, steady(during, o)); err != nil || podTemplate(p)["metadata"].(map[string]any)["annotations"].(map[string]any)[annotationImages] != annotation(o, before, nil) {
		t.Errorf("charts that are applied meanwhile replace the Pods: %v", err)
	}
	if during.InPlace[o.ID()].Hash != "" {
		t.Error("the record has changed")
	}
	other, gone, added := deploymentOf("a/agent:other"), deploymentOf("a/x:1"), deploymentOf("a/y:1")
	gone.SetName("gone")
	added.SetName("added")
	same := deploymentOf("a/agent:main")
	same.SetName("same")
	in := func(objects ...cluster.Object) *workspace {
		return &workspace{rendered: &cluster.Rendered{Objects: objects}}
	}
	got := changedWorkloads(in(o, same, gone), in(other, same, added))
	slices.Sort(got)
	if want := []string{added.ID(), gone.ID(), o.ID()}; !slices.Equal(got, want) {
		t.Errorf("changed: %v, want %v", got, want)
	}
}

// Status tells what is under way, since when and what it is at, without waiting for it.
func TestReportOfWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w work
		w.Lock()
		defer w.Unlock()
		agent := w.begin(&task{of: []string{"agent", "sidecar"}})
		progress.Report(agent.doing(t.Context(), "build"), progress.Update{What: "wait for Pod uva/uva-1"})
		time.Sleep(12 * time.Second)
		w.begin(&task{of: []string{workspaceItself}, at: "apply"})
		var lines []string
		for _, u := range w.report() {
			lines = append(lines, u.String())
		}
		if got := strings.Join(lines, "; "); got != "agent, sidecar for 12s: wait for Pod uva/uva-1; "+workspaceItself+" for 0s: apply" {
			t.Error(got)
		}
		if agent.end(); len(w.report()) != 1 {
			t.Error("it is through, and still under way")
		}
	})
}
