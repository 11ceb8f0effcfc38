package main

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

func TestJobStartsWhileItsQueueIsDeclared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		declare := make(chan struct{})
		p.sidecar.OnCall = func(call sidecartest.Call) error {
			if call.RPC == "CreateQueue" {
				<-declare
			}
			return nil
		}
		replies := p.post(validBody)
		synctest.Wait()
		if jobs := p.cluster.names(); !slices.Equal(jobs, []string{"ann-12345678uva1"}) {
			t.Errorf("jobs before the queue is declared = %v, want the request's", jobs)
		}
		for range len(p.sidecar.Calls) {
			if call := <-p.sidecar.Calls; call.RPC == "SendMicroserviceComm" {
				t.Error("sent to a queue before it was declared")
			}
		}
		close(declare)
		p.arrives(t, sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetCorrelationId(), "", "42", nil)
		if got := <-replies; got != (reply{200, "42"}) {
			t.Errorf("answer = %+v", got)
		}
		synctest.Wait()
	})
}

func TestQueueThatCannotBeDeclaredTakesItsJobAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, "UVA", roleAll)
		p.sidecar.OnCall = func(call sidecartest.Call) error {
			if call.RPC == "CreateQueue" {
				return errors.New("broker away")
			}
			return nil
		}
		if got := <-p.post(validBody); got.status != 500 {
			t.Errorf("answer = %+v, want 500", got)
		}
		if jobs := p.cluster.names(); len(jobs) != 0 {
			t.Errorf("jobs = %v, whose Pods would wait in vain", jobs)
		}
	})
}

// thirdPartyThatStarts is a third party that has asked its providers, and whose own Job begins to be made when create is
// closed.
func thirdPartyThatStarts(t *testing.T) (p *party, create chan struct{}, replies <-chan reply, id string) {
	t.Helper()
	p = newParty(t, "SURF", roleComputeProvider)
	create = make(chan struct{})
	p.cluster.creating = func() { <-create }
	replies = p.post(validBody)
	for range 2 {
		id = sent[*pb.SqlDataRequest](p).GetRequestMetadata().GetCorrelationId()
	}
	for _, provider := range []string{"UVA-in", "VU-in"} {
		go p.arrives(t, id, provider, "", nil)
	}
	synctest.Wait()
	for range len(p.sidecar.Calls) {
		if call := <-p.sidecar.Calls; call.RPC == "SendMicroserviceComm" {
			t.Errorf("passed on before there was a Job: %v", call.Message)
		}
	}
	return p, create, replies, id
}

func TestRowsWaitForTheThirdPartysJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, create, replies, id := thirdPartyThatStarts(t)
		close(create)
		for range 2 {
			if got := sent[*pb.MicroserviceCommunication](p).GetRequestMetadata().GetDestinationQueue(); got != "ann-12345678surf1" {
				t.Errorf("rows went to %s, want the third party's own chain", got)
			}
		}
		p.arrives(t, id, "SURF-in", "42", nil)
		if got := <-replies; got != (reply{200, "42"}) {
			t.Errorf("answer = %+v", got)
		}
		synctest.Wait()
	})
}

func TestRowsForAThirdPartyWithoutAJobAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, create, replies, _ := thirdPartyThatStarts(t)
		p.cluster.mu.Lock()
		p.cluster.err = errors.New("jobs are forbidden")
		p.cluster.mu.Unlock()
		close(create)
		if got := <-replies; got.status != 500 {
			t.Errorf("answer = %+v, want 500", got)
		}
		synctest.Wait()
		for range len(p.sidecar.Calls) {
			if call := <-p.sidecar.Calls; call.RPC == "SendMicroserviceComm" {
				t.Errorf("passed on to no Job: %v", call.Message)
			}
		}
	})
}
