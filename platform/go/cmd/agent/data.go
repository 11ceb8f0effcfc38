package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

const timedOut = "Request timed out"

// abandonTimeout bounds the tidying up after a failed request.
const abandonTimeout = 5 * time.Second

// serveData answers a data request: it runs this agent's part of the job that the request names, and sends the
// chain's result as it is. Failures have a status and a line of text.
func (a *agent) serveData(w http.ResponseWriter, r *http.Request) {
	if problem := authorization(r.Header.Get("Authorization")); problem != "" {
		http.Error(w, problem, http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "Bad request: "+err.Error(), http.StatusBadRequest)
		return
	}
	data := new(pb.SqlDataRequest)
	if err := protojson.Unmarshal(body, data); err != nil {
		http.Error(w, "Bad request: "+err.Error(), http.StatusBadRequest)
		return
	}
	if data.GetRequestMetadata().GetJobId() == "" {
		http.Error(w, "Job ID not passed", http.StatusInternalServerError)
		return
	}
	ctx := r.Context()
	if sent, ok := rpc.TraceOf(data.GetRequestMetadata().GetTraces()); ok {
		ctx = rpc.WithTrace(ctx, sent)
	}
	ctx, span := trace.Start(ctx, trace.Server, r.Method+" "+r.URL.Path, trace.Job(data.GetRequestMetadata().GetJobId()))
	id := uuid.NewString()
	ctx = logging.WithCorrelation(ctx, id)
	span.Set(trace.Correlation(id))
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	status, text := a.answer(ctx, data, id)
	span.Answered(status, string(text))
	if status == http.StatusOK {
		_, _ = w.Write(text)
		return
	}
	slog.WarnContext(ctx, "data request failed", "job", data.GetRequestMetadata().GetJobId(), "status", status, "error", string(text))
	http.Error(w, string(text), status)
}

// authorization says what is wrong with an Authorization header: it has to be a bearer token, whatever token.
func authorization(header string) (problem string) {
	if header == "" {
		return "Authorization header is missing"
	}
	if parts := strings.Fields(header); len(parts) != 2 || !strings.EqualFold(parts[0], "bearer") {
		return "Invalid Authorization header format"
	}
	return ""
}

// answer runs a data request under a correlation id, and returns its HTTP status and body.
func (a *agent) answer(ctx context.Context, data *pb.SqlDataRequest, id string) (status int, body []byte) {
	job := data.GetRequestMetadata().GetJobId()
	endTurn, err := a.turns.take(ctx, job)
	if err != nil {
		return http.StatusRequestTimeout, []byte(timedOut)
	}
	request, err := a.composition(ctx, data.GetUser().GetUserName(), job)
	switch {
	case errors.Is(err, errNoJob):
		endTurn()
		slog.WarnContext(ctx, "no composition request", "job", job, "error", err)
		return http.StatusBadRequest, []byte("No job found for this user")
	case ctx.Err() != nil:
		endTurn()
		return http.StatusRequestTimeout, []byte(timedOut)
	case err != nil:
		endTurn()
		return http.StatusServiceUnavailable, []byte("Config store not available: " + err.Error())
	}

	e := &exchange{answer: make(chan *pb.MicroserviceCommunication, 1)}
	ctx, e.span = trace.Start(ctx, trace.Internal, "run chain", trace.Job(job))
	switch {
	case strings.EqualFold(request.GetRole(), roleAll):
		err = a.startAll(ctx, request, data, id, e)
	case strings.EqualFold(request.GetRole(), roleComputeProvider):
		err = a.startThirdParty(ctx, request, data, id, e)
	default:
		endTurn()
		err := errors.New("Bad request: this agent's role in the job is " + request.GetRole())
		e.span.End(err)
		return http.StatusBadRequest, []byte(err.Error())
	}
	if err != nil {
		a.abandon(ctx, request, id, e, err)
		endTurn()
		if ctx.Err() != nil {
			return http.StatusRequestTimeout, []byte(timedOut)
		}
		return http.StatusInternalServerError, []byte("Internal server error: " + err.Error())
	}
	go func() {
		defer endTurn()
		a.finish(context.WithoutCancel(ctx), request, id, e, func(problem error) { e.offer(failure(problem)) })
	}()
	select {
	case message := <-e.answer:
		return result(message)
	case <-ctx.Done():
		return http.StatusRequestTimeout, []byte(timedOut)
	}
}

// result is the answer in what came back from a chain.
func result(message *pb.MicroserviceCommunication) (status int, body []byte) {
	if text := message.GetMetadata()[errorKey]; text != "" {
		return http.StatusInternalServerError, []byte(text)
	}
	if len(message.GetResult()) == 0 {
		return http.StatusInternalServerError, []byte("the chain ended without a result")
	}
	return http.StatusOK, message.GetResult()
}

// startAll sends a data request through a chain of which this agent runs every service.
func (a *agent) startAll(ctx context.Context, request *pb.CompositionRequest, data *pb.SqlDataRequest, id string, e *exchange) error {
	a.exchanges.begin(id, e)
	if err := a.start(ctx, request, request.GetRequestType(), data.GetOptions(), e); err != nil {
		return err
	}
	return a.sendToJob(ctx, request, data, request.GetRequestType(), id)
}

// finish waits until the last message of an exchange has passed. It abandons the exchange when that takes too long, or when
// its Job can't do its part, which tell tells whoever waits.
func (a *agent) finish(ctx context.Context, request *pb.CompositionRequest, id string, e *exchange, tell func(problem error)) {
	late := time.NewTimer(a.timeout)
	defer late.Stop()
	replaced := false
	for {
		select {
		case <-e.done:
			if e.leftOver || replaced { // by a Pod that found nothing to do
				a.renewQueueOf(ctx, request)
			}
			return
		case problem := <-e.broke:
			if !a.exchanges.drop(id) {
				continue // the answer has come
			}
			slog.WarnContext(ctx, "chain broke", "job", e.kubernetesJob, "problem", problem)
			tell(errors.New(problem))
			a.abandon(ctx, request, id, e, errors.New(problem))
			return
		case job := <-e.lost:
			if job == e.jobUID {
				replaced = true
				a.replaceJob(ctx, request, e)
			}
		case <-late.C:
			a.abandon(ctx, request, id, e, fmt.Errorf("no answer within %v", a.timeout))
			return
		}
	}
}

// abandon closes an exchange that didn't come to its end, and why. Its Pod would wait in vain until its deadline, and declare
// the queue anew whenever it starts; so the Kubernetes Job goes first. The queue may hold anything, so the job gets a
// new one.
func (a *agent) abandon(ctx context.Context, request *pb.CompositionRequest, id string, e *exchange, why error) {
	e.span.End(why)
	if e.done == nil {
		return // never begun
	}
	a.exchanges.drop(id)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	if e.kubernetesJob != "" {
		if err := a.deleteJob(ctx, e.kubernetesJob); err != nil {
			slog.WarnContext(ctx, "pod of a failed request goes on", "error", err)
		}
	}
	a.renewQueueOf(ctx, request)
}

// renewQueueOf is renewQueue where a failure has nobody to go to.
func (a *agent) renewQueueOf(ctx context.Context, request *pb.CompositionRequest) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonTimeout)
	defer cancel()
	if err := a.renewQueue(ctx, request); err != nil && !errors.Is(err, errNoJob) {
		slog.WarnContext(ctx, "queue of a failed request not renewed", "job", request.GetJobName(), "error", err)
	}
}

// failure is the message that stands for an answer that can't be had.
func failure(err error) *pb.MicroserviceCommunication {
	return &pb.MicroserviceCommunication{
		Type:     "microserviceCommunication",
		Metadata: map[string]string{errorKey: fmt.Sprint(err)},
	}
}
