package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/rpc"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/trace"
)

// startThirdParty runs the compute provider's part: it asks every data provider for its rows, which come by way of both
// agents, and starts its own chain meanwhile. Rows that come before that has its queue wait for it.
func (a *agent) startThirdParty(ctx context.Context, request *pb.CompositionRequest, data *pb.SqlDataRequest, id string, e *exchange) error {
	providers, err := a.onlineProviders(ctx, request.GetDataProviders())
	if err != nil {
		return err
	}
	chain, err := a.chain(ctx, data.GetType(), request.GetRole(), data.GetOptions())
	if err != nil {
		return err
	}
	e.providers = len(providers)
	e.started = make(chan struct{})
	a.exchanges.begin(id, e)
	asked := make(chan error, 1)
	go func() { asked <- a.ask(ctx, providers, request, data, id) }()
	err = a.startChain(ctx, request, chain, e)
	if err == nil {
		e.jobQueue = request.GetLocalJobName()
	}
	close(e.started)
	return errors.Join(err, <-asked)
}

// providerWait is how long a third party waits for a data provider that is not online; one that restarts is back sooner.
const providerWait = 10 * time.Second

// onlineProviders are the agents of that name; all have to be online, or be so in a moment.
func (a *agent) onlineProviders(ctx context.Context, names []string) ([]etcd.Agent, error) {
	agents, err := etcd.List[etcd.Agent](ctx, a.store, etcd.OnlinePrefix)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, providerWait)
	defer cancel()
	var providers []etcd.Agent
	for _, name := range names {
		var provider etcd.Agent
		if i := slices.IndexFunc(agents, func(a etcd.Agent) bool { return a.Name == name }); i >= 0 {
			provider = agents[i]
		} else if provider, err = etcd.Await[etcd.Agent](waiting, a.store, etcd.OnlineKey(name)); err != nil {
			return nil, fmt.Errorf("data provider %s is not online: %w", name, err)
		}
		providers = append(providers, provider)
	}
	return providers, nil
}

// ask asks data providers to send their rows to this agent.
func (a *agent) ask(ctx context.Context, providers []etcd.Agent, request *pb.CompositionRequest, data *pb.SqlDataRequest, id string) error {
	for _, provider := range providers {
		asked := proto.CloneOf(data)
		asked.RequestMetadata = &pb.RequestMetadata{
			CorrelationId:    id,
			DestinationQueue: provider.RoutingKey,
			JobName:          request.GetJobName(),
			ReturnAddress:    a.queue,
			JobId:            data.GetRequestMetadata().GetJobId(),
			Traces:           rpc.BinaryOf(ctx),
		}
		if _, err := a.sidecar.SendSqlDataRequest(ctx, asked); err != nil {
			return fmt.Errorf("ask %s: %w", provider.Name, err)
		}
	}
	return nil
}

// provide runs a data provider's part for a third party. The third party gets an answer in any case.
func (a *agent) provide(ctx context.Context, data *pb.SqlDataRequest) error {
	id := data.GetRequestMetadata().GetCorrelationId()
	ctx = logging.WithCorrelation(ctx, id)
	job := trace.Job(data.GetRequestMetadata().GetJobId())
	trace.Current(ctx).Set(trace.Correlation(id), job)
	e := &exchange{returnAddress: data.GetRequestMetadata().GetReturnAddress()}
	ctx, e.span = trace.Start(ctx, trace.Internal, "run chain", job)
	if !a.exchanges.begin(id, e) {
		e.span.End(nil)
		slog.WarnContext(ctx, "data request came twice")
		return nil
	}
	err := a.startProvider(ctx, data, id, e)
	if err == nil {
		return nil
	}
	e.span.End(err)
	a.exchanges.drop(id)
	if sendErr := a.tellThirdParty(ctx, data, fmt.Errorf("agent: %w", err)); sendErr != nil {
		return fmt.Errorf("%w, and %w", err, sendErr)
	}
	return err
}

// tellThirdParty sends the third party that asked for data a failure in place of an answer.
func (a *agent) tellThirdParty(ctx context.Context, data *pb.SqlDataRequest, problem error) error {
	metadata := data.GetRequestMetadata()
	answer := failure(fmt.Errorf("%s: %w", a.name, problem))
	answer.RequestType = data.GetType()
	answer.RequestMetadata = &pb.RequestMetadata{
		CorrelationId: metadata.GetCorrelationId(), DestinationQueue: metadata.GetReturnAddress(), ReturnAddress: a.queue,
	}
	answer.Traces = rpc.TracesOf(ctx)
	if _, err := a.sidecar.SendMicroserviceComm(ctx, answer); err != nil {
		return fmt.Errorf("tell %s of a failure: %w", metadata.GetReturnAddress(), err)
	}
	return nil
}

// startProvider runs the chain when it is the request's turn: those of one job share its queue. The third party waits
// no longer than this agent does.
func (a *agent) startProvider(ctx context.Context, data *pb.SqlDataRequest, id string, e *exchange) error {
	job := data.GetRequestMetadata().GetJobId()
	waiting, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	endTurn, err := a.turns.take(waiting, job)
	if err != nil {
		return fmt.Errorf("another request of job %s is under way: %w", job, err)
	}
	request, err := a.composition(waiting, data.GetUser().GetUserName(), job)
	if err != nil {
		endTurn()
		return err
	}
	if err := a.runProvider(ctx, request, data, id, e); err != nil {
		a.abandon(ctx, request, id, e, err)
		endTurn()
		return err
	}
	go func() {
		defer endTurn()
		ctx := context.WithoutCancel(ctx)
		a.finish(ctx, request, id, e, func(problem error) {
			if err := a.tellThirdParty(ctx, data, problem); err != nil {
				slog.ErrorContext(ctx, "third party waits in vain", "error", err)
			}
		})
	}()
	return nil
}

func (a *agent) runProvider(ctx context.Context, request *pb.CompositionRequest, data *pb.SqlDataRequest, id string, e *exchange) error {
	if err := a.start(ctx, request, request.GetRequestType(), data.GetOptions(), e); err != nil {
		return err
	}
	return a.sendToJob(ctx, request, data, request.GetRequestType(), id)
}
