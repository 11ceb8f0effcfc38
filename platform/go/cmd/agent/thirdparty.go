package main

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/logging"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

// startThirdParty runs the compute provider's part: it starts its own chain and asks every data provider to send
// its rows there, by way of both agents.
func (a *agent) startThirdParty(ctx context.Context, request *pb.CompositionRequest, data *pb.SqlDataRequest, id string, e *exchange) error {
	var providers []etcd.Agent
	for _, name := range request.GetDataProviders() {
		provider, online, err := etcd.Get[etcd.Agent](ctx, a.store, etcd.OnlineKey(name))
		if err != nil {
			return err
		}
		if !online {
			return fmt.Errorf("data provider %s is not online", name)
		}
		providers = append(providers, provider)
	}
	if err := a.keepQueue(ctx, request); err != nil {
		return err
	}
	e.providers = len(providers)
	a.exchanges.begin(id, e)
	if err := a.createJob(ctx, request, data.GetType(), data.GetOptions(), e); err != nil {
		return err
	}
	e.jobQueue = request.GetLocalJobName() // before anybody is asked to send to it
	for _, provider := range providers {
		asked := proto.CloneOf(data)
		asked.RequestMetadata = &pb.RequestMetadata{
			CorrelationId:    id,
			DestinationQueue: provider.RoutingKey,
			JobName:          request.GetJobName(),
			ReturnAddress:    a.queue,
			JobId:            data.GetRequestMetadata().GetJobId(),
			Traces:           data.GetRequestMetadata().GetTraces(),
		}
		if _, err := a.sidecar.SendSqlDataRequest(ctx, asked); err != nil {
			return fmt.Errorf("ask %s: %w", provider.Name, err)
		}
	}
	return nil
}

// provide runs a data provider's part for a third party. The third party gets an answer in any case.
func (a *agent) provide(ctx context.Context, data *pb.SqlDataRequest) error {
	id, returnAddress := data.GetRequestMetadata().GetCorrelationId(), data.GetRequestMetadata().GetReturnAddress()
	ctx = logging.WithCorrelation(ctx, id)
	e := &exchange{returnAddress: returnAddress}
	if !a.exchanges.begin(id, e) {
		slog.WarnContext(ctx, "data request came twice")
		return nil
	}
	err := a.startProvider(ctx, data, id, e)
	if err == nil {
		return nil
	}
	a.exchanges.drop(id)
	answer := failure(fmt.Errorf("%s: agent: %w", a.name, err))
	answer.RequestType = data.GetType()
	answer.RequestMetadata = &pb.RequestMetadata{CorrelationId: id, DestinationQueue: returnAddress, ReturnAddress: a.queue}
	answer.Traces = data.GetRequestMetadata().GetTraces()
	if _, sendErr := a.sidecar.SendMicroserviceComm(ctx, answer); sendErr != nil {
		return fmt.Errorf("tell %s of a failure (%w): %w", returnAddress, err, sendErr)
	}
	return err
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
		a.abandon(ctx, request, id, e)
		endTurn()
		return err
	}
	go func() {
		defer endTurn()
		a.finish(context.WithoutCancel(ctx), request, id, e)
	}()
	return nil
}

func (a *agent) runProvider(ctx context.Context, request *pb.CompositionRequest, data *pb.SqlDataRequest, id string, e *exchange) error {
	if err := a.keepQueue(ctx, request); err != nil {
		return err
	}
	if err := a.createJob(ctx, request, request.GetRequestType(), data.GetOptions(), e); err != nil {
		return err
	}
	return a.sendToJob(ctx, request, data, request.GetRequestType(), id)
}
