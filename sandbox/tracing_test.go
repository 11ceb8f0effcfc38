package sandbox

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dynsandbox/dynsandbox/cluster"
	"github.com/dynsandbox/dynsandbox/sandbox/tracing"
	"github.com/dynsandbox/dynsandbox/scenarios"
)

// A port that another has is told, and the other one is open all the same; asked again nothing is opened twice.
func TestSpansAreReceivedWhereTheyCanBe(t *testing.T) {
	t.Parallel()
	network := cluster.Network{Gateway: netip.MustParseAddr("127.83.0.1")}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.83.0.1:4317")
	if err != nil {
		t.Fatal(err)
	}
	s := &session{spans: tracing.NewStore(tracing.DefaultLimits)}
	t.Cleanup(func() {
		if err := s.holds.close(); err != nil {
			t.Error(err)
		}
	})
	open, err := s.receiveSpans(t.Context(), network)
	if !errors.Is(err, syscall.EADDRINUSE) || strings.Join(open, " ") != "127.83.0.1:55678" {
		t.Errorf("open %v, error %v", open, err)
	}
	taken.Close()
	for range 2 {
		if open, err := s.receiveSpans(t.Context(), network); err != nil || len(open) != 2 {
			t.Errorf("open %v, error %v", open, err)
		}
	}
}

// answering is a platform that answers with a job, whose spans arrive together with those of another.
type answering struct{ spans *tracing.Store }

func (a answering) Do(context.Context, scenarios.Request) (scenarios.Answer, error) {
	now := time.Now()
	a.spans.Add(&tracing.Span{Trace: "its", ID: "1", Job: "ann-1", Start: now},
		&tracing.Span{Trace: "earlier", ID: "1", Job: "bob-2", Start: now.Add(-time.Microsecond)},
		&tracing.Span{Trace: "later", ID: "1", Job: "bob-3", Start: now.Add(time.Microsecond)})
	return scenarios.Answer{Status: http.StatusOK, JobID: "ann-1", Responses: []string{"1"}}, nil
}

func TestTraceIsOfTheScenariosJob(t *testing.T) {
	t.Parallel()
	s := &session{spans: tracing.NewStore(tracing.DefaultLimits)}
	fails := &scenarios.Scenario{Timeout: time.Minute, Expect: scenarios.Expect{Status: http.StatusForbidden, Count: -1}}
	got, err := s.play(t.Context(), answering{s.spans}, fails)
	if err != nil || got.Passed || got.Trace != "its" {
		t.Errorf("got %+v, %v", got, err)
	}
	if last := s.replayed.Load(); last == nil || last.job != "ann-1" {
		t.Errorf("the last one is %+v", last)
	}
}

func TestFailedScenarioNamesItsTrace(t *testing.T) {
	t.Parallel()
	report := &ReplayReport{Results: []scenarios.Result{
		{Name: "a", Passed: true}, {Name: "b", Failures: []string{"want 1"}, Trace: "909d342173dcc488f5e7305fdbab9636"}, {Name: "c", Failures: []string{"want 2"}},
	}}
	var b strings.Builder
	if err := report.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if want := "  want 1\n  what each service did: dynsandbox trace 909d3421\nscenario c"; !strings.Contains(b.String(), want) || strings.Count(b.String(), "trace") != 1 {
		t.Errorf("got\n%s", b.String())
	}
}
