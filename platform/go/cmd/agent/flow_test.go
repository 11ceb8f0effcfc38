package main

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

func TestAnswerOfOwnChain(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, result string
		metadata     map[string]string
		want         reply
	}{
		{"result", `{"a":"<1>"}`, nil, reply{200, `{"a":"<1>"}`}},
		{"no result", "", nil, reply{500, "the chain ended without a result\n"}},
		{"failure", "", map[string]string{"error": "sql-query: no such table: X"}, reply{500, "sql-query: no such table: X\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newParty(t, "UVA", roleAll)
			replies := p.post(validBody)
			message := sent[*pb.MicroserviceCommunication](p)
			metadata := message.GetRequestMetadata()
			want := &pb.RequestMetadata{CorrelationId: metadata.GetCorrelationId(), DestinationQueue: "ann-12345678uva1", ReturnAddress: "UVA-in"}
			if !proto.Equal(metadata, want) || message.GetRequestType() != "sqlDataRequest" || message.GetType() != "microserviceCommunication" {
				t.Errorf("sent to the chain: %v", message)
			}
			request := new(pb.SqlDataRequest)
			if err := message.GetOriginalRequest().UnmarshalTo(request); err != nil || request.GetQuery() != "SELECT 1" {
				t.Errorf("original request = %v, %v", request, err)
			}
			p.arrives(t, metadata.GetCorrelationId(), "UVA-in", tt.result, tt.metadata)
			if got := <-replies; got != tt.want {
				t.Errorf("answer = %+v, want %+v", got, tt.want)
			}
			if jobs := p.cluster.names(); !slices.Equal(jobs, []string{"ann-12345678uva1"}) {
				t.Errorf("jobs = %v", jobs)
			}
		})
	}
}

func TestRequestsOfOneJobTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		first, second := p.post(validBody), p.post(validBody)
		one := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
		synctest.Wait()
		if got := len(p.cluster.names()); got != 1 {
			t.Errorf("%d jobs on one queue at once", got)
		}
		p.arrives(t, one.GetCorrelationId(), "", "1", nil)
		two := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
		p.arrives(t, two.GetCorrelationId(), "", "2", nil)
		answers := []string{(<-first).body, (<-second).body}
		slices.Sort(answers)
		if !slices.Equal(answers, []string{"1", "2"}) {
			t.Errorf("answers = %v", answers)
		}
		if two.GetDestinationQueue() != one.GetDestinationQueue() {
			t.Errorf("second request went to %s, want the job's queue %s", two.GetDestinationQueue(), one.GetDestinationQueue())
		}
		if jobs := p.cluster.names(); !slices.Equal(jobs, []string{"ann-12345678uva1", "ann-12345678uva2"}) {
			t.Errorf("jobs = %v", jobs)
		}
		synctest.Wait()
	})
}

func TestManyRequestsOfOneJob(t *testing.T) {
	t.Parallel()
	p := newParty(t, "SURF", roleComputeProvider)
	for n := range 12 {
		replies := p.post(validBody)
		id := sent[*pb.SqlDataRequest](p).GetRequestMetadata().GetCorrelationId()
		for _, provider := range []string{"VU-in", "UVA-in"} {
			p.arrives(t, id, provider, "", nil)
			if got := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetDestinationQueue(); got != "ann-12345678surf1" {
				t.Errorf("rows of request %d went to %s", n+1, got)
			}
		}
		p.arrives(t, id, "SURF-in", "42", nil)
		if got := <-replies; got != (reply{200, "42"}) {
			t.Errorf("answer %d = %+v", n+1, got)
		}
	}
	if jobs := p.cluster.names(); len(jobs) != 12 || jobs[11] != "ann-12345678surf12" {
		t.Errorf("jobs = %v", jobs)
	}
}

func TestTimeOutGivesTheJobANewQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		replies := p.post(validBody)
		late := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetCorrelationId()
		if got := <-replies; got.status != 408 || got.body != "Request timed out\n" {
			t.Errorf("answer = %+v, want 408", got)
		}
		synctest.Wait()
		if jobs := p.cluster.names(); len(jobs) != 0 {
			t.Errorf("jobs = %v, whose Pods would wait in vain", jobs)
		}
		replies = p.post(validBody)
		next := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
		if got := next.GetDestinationQueue(); got != "ann-12345678uva2" {
			t.Errorf("next request went to %s, want a new queue", got)
		}
		p.arrives(t, late, "", "too late", nil)
		p.arrives(t, next.GetCorrelationId(), "", "in time", nil)
		if got := <-replies; got.body != "in time" {
			t.Errorf("answer = %+v, want the second request's", got)
		}
		synctest.Wait()
	})
}

func TestRestartedAgentFindsAFreeJobName(t *testing.T) {
	t.Parallel()
	p := newParty(t, "UVA", roleAll)
	for range 2 {
		replies := p.post(validBody)
		p.arrives(t, sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetCorrelationId(), "", "1", nil)
		<-replies
		p.started = map[string]int{} // as after a restart
	}
	if jobs := p.cluster.names(); !slices.Equal(jobs, []string{"ann-12345678uva1", "ann-12345678uva2"}) {
		t.Errorf("jobs = %v", jobs)
	}
}

func TestRestartedAgentLeavesItsOldQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		unanswered := p.post(validBody)
		before := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
		restarted := newAgent("UVA", p.store, p.sidecar, p.cluster, p.cluster, p.images)
		p.agent = restarted
		replies := p.post(validBody)
		next := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
		if before.GetDestinationQueue() != "ann-12345678uva1" || next.GetDestinationQueue() != "ann-12345678uva2" {
			t.Errorf("requests went to %s and %s, want a new queue for the second", before.GetDestinationQueue(), next.GetDestinationQueue())
		}
		p.arrives(t, before.GetCorrelationId(), "UVA-in", "of the former life", nil)
		p.arrives(t, next.GetCorrelationId(), "UVA-in", "42", nil)
		if got := <-replies; got != (reply{200, "42"}) {
			t.Errorf("answer = %+v", got)
		}
		<-unanswered
		synctest.Wait()
	})
}

func TestThirdParty(t *testing.T) {
	t.Parallel()
	p := newParty(t, "SURF", roleComputeProvider)
	replies := p.post(validBody)
	var id string
	for _, provider := range []string{"UVA", "VU"} {
		asked := sent[*pb.SqlDataRequest](p)
		id = asked.GetRequestMetadata().GetCorrelationId()
		want := &pb.RequestMetadata{
			CorrelationId: id, DestinationQueue: provider + "-in", JobName: "ann-12345678", ReturnAddress: "SURF-in", JobId: "ann-12345678",
			Traces: asked.GetRequestMetadata().GetTraces(),
		}
		if _, ok := rpc.TraceOf(want.GetTraces()); !ok || len(want.GetTraces()) != 1 {
			t.Errorf("asked with traces %v, want a binary one", want.GetTraces())
		}
		if !proto.Equal(asked.GetRequestMetadata(), want) {
			t.Errorf("asked:\n got %v\nwant %v", asked.GetRequestMetadata(), want)
		}
	}
	for _, provider := range []string{"VU-in", "UVA-in"} {
		p.arrives(t, id, provider, "", nil)
		p.arrives(t, id, "VU-in", "", nil) // delivered again
		onward := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata()
		if onward.GetDestinationQueue() != "ann-12345678surf1" || onward.GetReturnAddress() != "SURF-in" {
			t.Errorf("passed on as %v, want to the agent's own chain", onward)
		}
	}
	p.arrives(t, id, "SURF-in", "42", nil)
	if got := <-replies; got != (reply{200, "42"}) {
		t.Errorf("answer = %+v", got)
	}
	for range len(p.sidecar.Calls) {
		if call := <-p.sidecar.Calls; call.RPC == "SendMicroserviceComm" {
			t.Errorf("passed on twice: %v", call.Message)
		}
	}
}

func TestThirdPartysChainThatEndsEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "SURF", roleComputeProvider)
		replies := p.post(validBody)
		id := sent[*pb.SqlDataRequest](p).GetRequestMetadata().GetCorrelationId()
		p.arrives(t, id, "VU-in", "", nil)
		p.arrives(t, id, "SURF-in", "", map[string]string{"error": "sql-aggregate: crashed"})
		if got := <-replies; got != (reply{500, "sql-aggregate: crashed\n"}) {
			t.Errorf("answer = %+v, want the chain's failure", got)
		}
		p.arrives(t, id, "UVA-in", "", nil) // late, and dropped
		synctest.Wait()
		for range len(p.sidecar.Calls) {
			<-p.sidecar.Calls
		}
		replies = p.post(validBody)
		id = sent[*pb.SqlDataRequest](p).GetRequestMetadata().GetCorrelationId()
		for _, provider := range []string{"VU-in", "UVA-in"} {
			p.arrives(t, id, provider, "", nil)
			if got := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetDestinationQueue(); got != "ann-12345678surf2" {
				t.Errorf("next request's rows went to %s, want a new queue", got)
			}
		}
		p.arrives(t, id, "SURF-in", "42", nil)
		if got := <-replies; got.status != 200 {
			t.Errorf("answer = %+v", got)
		}
		synctest.Wait()
	})
}

func TestThirdPartyReportsAProvidersFailure(t *testing.T) {
	t.Parallel()
	p := newParty(t, "SURF", roleComputeProvider)
	replies := p.post(validBody)
	id := sent[*pb.SqlDataRequest](p).GetRequestMetadata().GetCorrelationId()
	sent[*pb.SqlDataRequest](p)
	p.arrives(t, id, "VU-in", "", map[string]string{"error": "VU: sql-query: no such table"})
	if got := <-replies; got != (reply{500, "VU: sql-query: no such table\n"}) {
		t.Errorf("answer = %+v, want the provider's failure at once", got)
	}
	p.arrives(t, id, "UVA-in", "", nil)
	for _, what := range []string{"failure", "other provider's message"} {
		if got := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetDestinationQueue(); got != "ann-12345678surf1" {
			t.Errorf("the %s went to %s, want the chain that counts it", what, got)
		}
	}
}

func TestThirdPartyNeedsItsProvidersOnline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "SURF", roleComputeProvider)
		value, _ := p.store.Get(t.Context(), "/agents/online/VU")
		_ = p.store.Delete(t.Context(), "/agents/online/VU")
		if got := <-p.post(validBody); got.status != 500 || !strings.Contains(got.body, "VU is not online") {
			t.Errorf("answer = %+v", got)
		}
		if jobs := p.cluster.names(); len(jobs) != 0 {
			t.Errorf("jobs = %v, want none", jobs)
		}
		replies := p.post(validBody)
		synctest.Wait()
		_ = p.store.Put(t.Context(), etcd.Entry{Key: "/agents/online/VU", Value: value}) // it restarted
		id := sent[*pb.SqlDataRequest](p).GetRequestMetadata().GetCorrelationId()
		for _, from := range []string{"UVA-in", "VU-in", "SURF-in"} {
			p.arrives(t, id, from, "42", nil)
		}
		if got := <-replies; got.status != 200 {
			t.Errorf("answer = %+v once all are online", got)
		}
		synctest.Wait()
	})
}

// asked is what a third party sends to a data provider.
func asked() *pb.SideCarMessage { return askedAs("c") }

func askedAs(correlation string) *pb.SideCarMessage {
	return sidecartest.Envelope("sqlDataRequest", &pb.SqlDataRequest{
		Type: "sqlDataRequest", User: &pb.User{UserName: "ann@x"},
		RequestMetadata: &pb.RequestMetadata{CorrelationId: correlation, ReturnAddress: "SURF-in", JobId: "ann-12345678"},
	}, nil)
}

func TestDataProvider(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name           string
		metadata, want map[string]string
	}{
		{"rows", nil, nil},
		{"failure", map[string]string{"error": "sql-query: no"}, map[string]string{"error": "UVA: sql-query: no"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := newParty(t, "UVA", roleDataProvider)
				for range 2 { // the second is a redelivery
					if err := p.handlers()["sqlDataRequest"](t.Context(), asked()); err != nil {
						t.Fatal(err)
					}
				}
				if got := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetDestinationQueue(); got != "ann-12345678uva1" {
					t.Errorf("sent to %s, want the chain", got)
				}
				p.arrives(t, "c", "UVA-in", "", tt.metadata)
				onward := sent[*pb.MicroserviceCommunication](p)
				want := &pb.MicroserviceCommunication{
					Type: "microserviceCommunication", Metadata: tt.want, Result: []byte{},
					RequestMetadata: &pb.RequestMetadata{CorrelationId: "c", DestinationQueue: "SURF-in", ReturnAddress: "UVA-in"},
				}
				if !proto.Equal(onward, want) {
					t.Errorf("passed on:\n got %v\nwant %v", onward, want)
				}
				if jobs := p.cluster.names(); len(jobs) != 1 {
					t.Errorf("jobs = %v, want one", jobs)
				}
				synctest.Wait()
			})
		})
	}
}

func TestDataProvidersRequestsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleDataProvider)
		for _, id := range []string{"c1", "c2"} {
			go func() {
				if err := p.handlers()["sqlDataRequest"](t.Context(), askedAs(id)); err != nil {
					t.Error(err)
				}
			}()
			synctest.Wait()
		}
		if jobs := p.cluster.names(); len(jobs) != 1 {
			t.Errorf("jobs = %v on one queue at once", jobs)
		}
		p.arrives(t, "c1", "UVA-in", "", nil)
		synctest.Wait()
		p.arrives(t, "c2", "UVA-in", "", nil)
		synctest.Wait()
		if jobs := p.cluster.names(); len(jobs) != 2 {
			t.Errorf("jobs = %v, want one for each request", jobs)
		}
	})
}

func TestDataProviderThatCannotAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", "") // was never told of the job
		if err := p.handlers()["sqlDataRequest"](t.Context(), asked()); err == nil {
			t.Error("no error to log")
		}
		told := sent[*pb.MicroserviceCommunication](p)
		if text := told.GetMetadata()["error"]; !strings.HasPrefix(text, "UVA: agent: no composition request") {
			t.Errorf("error = %q", text)
		}
		if m := told.GetRequestMetadata(); m.GetDestinationQueue() != "SURF-in" || m.GetCorrelationId() != "c" {
			t.Errorf("request metadata = %v, want it to go to the third party", m)
		}
	})
}
