package main

import (
	"sync"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// exchange is one data request under way at this agent, known by its correlation id.
type exchange struct {
	// answer takes what the waiting HTTP request gets. It holds one message, so that nobody blocks on a request that
	// is no longer waited for. Nil when a third party waits instead.
	answer chan *pb.MicroserviceCommunication
	// returnAddress is the queue of the third party that waits. Empty when an HTTP request does.
	returnAddress string
	// providers is how many messages of data providers have yet to pass on to jobQueue before the next is the answer.
	providers int
	jobQueue  string
	// done is closed when the answer has come: no message of this exchange is left anywhere.
	done chan struct{}
}

// offer hands message to the waiting HTTP request; only the first is taken.
func (e *exchange) offer(message *pb.MicroserviceCommunication) {
	select {
	case e.answer <- message:
	default:
	}
}

// exchanges are those that are open.
type exchanges struct {
	mu   sync.Mutex
	open map[string]*exchange
}

// begin opens an exchange. It is false when the id is in use: the message that asks for it came twice.
func (x *exchanges) begin(id string, e *exchange) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, ok := x.open[id]; ok {
		return false
	}
	e.done = make(chan struct{})
	x.open[id] = e
	return true
}

// advance tells what a message that arrived under id is. The exchange is nil when nobody waits; final means that
// the message is the answer, and the exchange closed, otherwise it comes from one of the data providers.
func (x *exchanges) advance(id string) (e *exchange, final bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.open[id]
	if !ok {
		return nil, false
	}
	if e.providers > 0 {
		e.providers--
		return e, false
	}
	delete(x.open, id)
	close(e.done)
	return e, true
}

// drop closes an exchange without its answer, which is dropped when it comes after all.
func (x *exchanges) drop(id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.open, id)
}
