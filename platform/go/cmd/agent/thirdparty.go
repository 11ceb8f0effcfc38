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
	e.providers, e.jobQueue = len(providers), request.GetLocalJobName()
	a.exchanges.begin(id, e)
	if err := a.createJob(ctx, request, data.GetType(), data.GetOptions()); err != nil {
		return err
	}
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
	request, err := a.composition(ctx, data.GetUser().GetUserName(), data.GetRequestMetadata().GetJobId())
	if err != nil {
		err = fmt.Errorf("no composition request: %w", err)
	} else {
		err = a.startProvider(ctx, request, data, id)
	}
	if err == nil {
		go a.finish(context.WithoutCancel(ctx), request, id, e)
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

func (a *agent) startProvider(ctx context.Context, request *pb.CompositionRequest, data *pb.SqlDataRequest, id string) error {
	if err := a.keepQueue(ctx, request); err != nil {
		return err
	}
	if err := a.createJob(ctx, request, request.GetRequestType(), data.GetOptions()); err != nil {
		return err
	}
	return a.sendToJob(ctx, request, data, request.GetRequestType(), id)
}
