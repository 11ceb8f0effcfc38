package main

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// exchange is one data request under way at this agent, known by its correlation id.
type exchange struct {
	// answer takes what the waiting HTTP request gets. It holds one message, so that nobody blocks on a request that
	// is no longer waited for. Nil when a third party waits instead.
	answer chan *pb.MicroserviceCommunication
	// returnAddress is the queue of the third party that waits. Empty when an HTTP request does.
	returnAddress string
	// providers is how many data providers send a message, which passes on to jobQueue; seen are the return
	// addresses of those that did. 0 unless this agent is the third party.
	providers int
	seen      map[string]bool
	// started is closed when the third party's own chain has its queue, jobQueue, or never will have: then that is empty.
	started  chan struct{}
	jobQueue string
	// kubernetesJob runs this agent's chain; empty until it was created. jobUID tells it from another of the same name.
	kubernetesJob string
	jobUID        types.UID
	queue         string   // the Job's
	chain         []string // that it runs
	// broke gets what is wrong, once, when a Pod of the Job can't do its part any more, or the queue has gone.
	broke chan string
	// lost gets the Job of a Pod that is being deleted.
	lost chan types.UID
	// done is closed when the answer has come. No message of this exchange is left anywhere then, unless leftOver
	// says that the chain ended early.
	done     chan struct{}
	leftOver bool
	// span is of what the agent does for the request: from before its Job is created until that has answered.
	span *trace.Span
}

// offer hands message to the waiting HTTP request; only the first is taken.
func (e *exchange) offer(message *pb.MicroserviceCommunication) {
	select {
	case e.answer <- message:
	default:
	}
}

// breaks tells the exchange what is wrong with its Job. Only the first counts.
func (e *exchange) breaks(problem string) {
	select {
	case e.broke <- problem:
	default:
	}
}

// exchanges are those that are open, and the Pods that can't do their part in one.
type exchanges struct {
	mu     sync.Mutex
	open   map[string]*exchange
	broken map[types.UID]brokenPod // by the Pod
	none   chan struct{}           // closed when the last exchange has gone; nil while nobody waits for that
}

// begin opens an exchange. It is false when the id is in use: the message that asks for it came twice.
func (x *exchanges) begin(id string, e *exchange) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.open[id]; ok {
		return false
	}
	e.done, e.broke, e.lost = make(chan struct{}), make(chan string, 1), make(chan types.UID, 1)
	x.open[id] = e
	return true
}

// arrival is what a message that arrived for an agent is.
type arrival int

const (
	unexpected   arrival = iota // nobody waits for it
	contribution                // a data provider's, for this agent's own chain
	repeated                    // a data provider's that has passed already
	answer                      // the end of this agent's own chain, and of the exchange
)

// advance tells what a message that arrived under id is. Chains leave the return address as it is, so that from is the
// queue of the agent whose chain sent the message; own is this agent's. The third party's chain may end before all
// providers have sent theirs, or without taking them all, when it fails.
func (x *exchanges) advance(id, from, own string, failed bool) (*exchange, arrival) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.open[id]
	switch {
	case !ok:
		return nil, unexpected
	case e.providers > 0 && from != own && e.seen[from]:
		return e, repeated
	case e.providers > 0 && from != own:
		if e.seen == nil {
			e.seen = map[string]bool{}
		}
		e.seen[from] = true
		return e, contribution
	}
	e.leftOver = e.providers > 0 && (failed || len(e.seen) < e.providers)
	x.remove(id)
	close(e.done)
	return e, answer
}

// drop closes an exchange without its answer, which is dropped when it comes after all. It is false when that has come.
func (x *exchanges) drop(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	_, ok := x.open[id]
	x.remove(id)
	return ok
}

// runs notes the Kubernetes Job of an exchange, and its queue. A Pod of it may be broken already.
func (x *exchanges) runs(e *exchange, name string, job types.UID, queue string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.kubernetesJob, e.jobUID, e.queue = name, job, queue
	for _, pod := range x.broken {
		if pod.job == job {
			e.breaks(pod.problem)
		}
	}
}

// queueGone tells the exchange whose Job consumes a queue that this is deleted, if it is open.
func (x *exchanges) queueGone(queue string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.open {
		if e.queue == queue {
			e.breaks("agent: the job was ended, as after a change of its agreements")
		}
	}
}

// podBroke tells the exchange that a Pod works for, if it is open.
func (x *exchanges) podBroke(uid types.UID, pod brokenPod) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.broken[uid] = pod
	for _, e := range x.open {
		if e.jobUID == pod.job {
			e.breaks(pod.problem)
		}
	}
}

// podLost tells the exchange of a Job that a Pod of this is deleted, if it is open.
func (x *exchanges) podLost(job types.UID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.open {
		if e.jobUID == job {
			select {
			case e.lost <- job:
			default:
			}
		}
	}
}

// podGone forgets a Pod.
func (x *exchanges) podGone(uid types.UID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.broken, uid)
}

// replaceBroken is podBroke for all broken Pods that there are, and podGone for the others.
func (x *exchanges) replaceBroken(broken map[types.UID]brokenPod) {
	x.mu.Lock()
	x.broken = map[types.UID]brokenPod{}
	x.mu.Unlock()
	for uid, pod := range broken {
		x.podBroke(uid, pod)
	}
}

// remove is called with mu held.
func (x *exchanges) remove(id string) {
	delete(x.open, id)
	if len(x.open) == 0 && x.none != nil {
		close(x.none)
		x.none = nil
	}
}

// settle returns when no exchange is open, or ctx ends.
func (x *exchanges) settle(ctx context.Context) {
	x.mu.Lock()
	if len(x.open) == 0 {
		x.mu.Unlock()
		return
	}
	if x.none == nil {
		x.none = make(chan struct{})
	}
	none := x.none
	x.mu.Unlock()
	select {
	case <-none:
	case <-ctx.Done():
	}
}
