package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

var ann = &pb.User{Id: "7", UserName: "ann@x"}

// composed runs compose with the given agents online, and returns everything that was sent, the requests to agents by
// their queues, the third party's last.
func composed(t *testing.T, validation *pb.ValidationResponse, sidecar *sidecartest.Sidecar, online ...string) (requests []*pb.CompositionRequest, answer *pb.RequestApprovalResponse) {
	t.Helper()
	store := etcdtest.New()
	put := func(key string, record any) {
		if err := etcd.Put(t.Context(), store, key, record); err != nil {
			t.Fatal(err)
		}
	}
	put(etcd.ArchetypeKey("computeToData"), etcd.Archetype{Name: "computeToData", ComputeProvider: "dataProvider", Weight: 100})
	put(etcd.ArchetypeKey("dataThroughTtp"), etcd.Archetype{Name: "dataThroughTtp", ComputeProvider: "other", Weight: 200})
	for _, name := range online {
		lower := strings.ToLower(name)
		put(etcd.OnlineKey(name), etcd.Agent{Name: name, RoutingKey: name + "-in", DNS: lower + "." + lower + ".svc.cluster.local"})
	}
	o := &orchestrator{store: store, sidecar: sidecar}
	envelope := sidecartest.Envelope("validationResponse", validation, nil)
	if err := o.handlers()["validationResponse"](context.Background(), envelope); err != nil {
		t.Fatal(err)
	}
	for range len(sidecar.Calls) {
		switch m := (<-sidecar.Calls).Message.(type) {
		case *pb.CompositionRequest:
			requests = append(requests, m)
		case *pb.RequestApprovalResponse:
			answer = m
		}
	}
	if answer == nil {
		t.Fatal("the gateway got no answer")
	}
	if !proto.Equal(answer.GetUser(), ann) || answer.GetRequestMetadata().GetDestinationQueue() != "api-gateway-in" {
		t.Errorf("answer = %v, want it to carry the user, for api-gateway-in", answer)
	}
	slices.SortFunc(requests, func(a, b *pb.CompositionRequest) int {
		return cmp.Or(cmp.Compare(b.GetRole(), a.GetRole()), cmp.Compare(a.GetDestinationQueue(), b.GetDestinationQueue()))
	})
	return requests, answer
}

func validated(options map[string]bool, providers ...string) *pb.ValidationResponse {
	v := &pb.ValidationResponse{
		RequestType: "sqlDataRequest", User: ann, RequestApproved: true, Options: options,
		Auth: &pb.Auth{AccessToken: "1234"}, ValidDataproviders: map[string]*pb.DataProvider{},
	}
	for _, name := range providers {
		v.ValidDataproviders[name] = &pb.DataProvider{
			Archetypes: []string{"computeToData", "dataThroughTtp"}, ComputeProviders: []string{"SURF"},
		}
	}
	return v
}

func TestComposeComputeToData(t *testing.T) {
	t.Parallel()
	requests, answer := composed(t, validated(nil, "UVA", "VU", "RUG"), sidecartest.New(), "UVA", "VU", "SURF")
	want := map[string]string{"UVA": "uva.uva.svc.cluster.local", "VU": "vu.vu.svc.cluster.local"}
	if answer.GetError() != "" || len(answer.GetAuthorizedProviders()) != 2 || answer.GetAuthorizedProviders()["UVA"] != want["UVA"] {
		t.Errorf("answer = %v, want the providers that are online", answer)
	}
	for i, queue := range []string{"UVA-in", "VU-in"} {
		want := &pb.CompositionRequest{
			ArchetypeId: "computeToData", RequestType: "sqlDataRequest", Role: "all", User: ann,
			DestinationQueue: queue, JobName: answer.GetJobId(),
		}
		if !proto.Equal(requests[i], want) {
			t.Errorf("request %d:\n got %v\nwant %v", i, requests[i], want)
		}
	}
}

func TestComposeThirdParty(t *testing.T) {
	t.Parallel()
	requests, answer := composed(t, validated(map[string]bool{"aggregate": true}, "VU", "UVA"), sidecartest.New(), "UVA", "VU", "SURF")
	if got := answer.GetAuthorizedProviders(); len(got) != 1 || got["SURF"] != "surf.surf.svc.cluster.local" {
		t.Errorf("authorized = %v, want SURF alone", got)
	}
	if len(requests) != 3 || requests[0].GetRole() != "dataProvider" || requests[1].GetRole() != "dataProvider" {
		t.Fatalf("requests = %v, want two data providers and the third party", requests)
	}
	want := &pb.CompositionRequest{
		ArchetypeId: "dataThroughTtp", RequestType: "sqlDataRequest", Role: "computeProvider", User: ann,
		DataProviders: []string{"UVA", "VU"}, DestinationQueue: "SURF-in", JobName: answer.GetJobId(),
	}
	if !proto.Equal(requests[2], want) {
		t.Errorf("third party's request:\n got %v\nwant %v", requests[2], want)
	}
}

func TestAgentsAreToldAtTheSameTime(t *testing.T) {
	t.Parallel()
	var told sync.WaitGroup
	told.Add(3)
	sidecar := sidecartest.New()
	sidecar.OnCall = func(call sidecartest.Call) error {
		if call.RPC == "SendCompositionRequest" {
			told.Done()
			told.Wait() // no send is done before all have begun
		}
		return nil
	}
	requests, _ := composed(t, validated(map[string]bool{"aggregate": true}, "VU", "UVA"), sidecar, "UVA", "VU", "SURF")
	if len(requests) != 3 {
		t.Errorf("requests = %v, want three", requests)
	}
}

func TestComposeFailureIsAnswered(t *testing.T) {
	t.Parallel()
	denied := &pb.ValidationResponse{User: ann, InvalidDataproviders: []string{"RUG"}}
	broken := sidecartest.New()
	broken.OnCall = func(call sidecartest.Call) error {
		if call.RPC == "SendCompositionRequest" {
			return errors.New("no broker")
		}
		return nil
	}
	tests := []struct {
		name       string
		validation *pb.ValidationResponse
		sidecar    *sidecartest.Sidecar
		online     []string
		auth       bool
		says       string
	}{
		{"denied", denied, sidecartest.New(), []string{"UVA"}, false, "RUG"},
		{"offline", validated(nil, "UVA"), sidecartest.New(), nil, true, "UVA"},
		{"third party offline", validated(map[string]bool{"aggregate": true}, "UVA"), sidecartest.New(), []string{"UVA"}, true, "SURF"},
		{"not sent", validated(nil, "UVA"), broken, []string{"UVA"}, true, "no broker"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requests, answer := composed(t, tt.validation, tt.sidecar, tt.online...)
			if len(requests) != 0 || !strings.Contains(answer.GetError(), tt.says) || (answer.GetAuth() != nil) != tt.auth ||
				answer.GetJobId() != "" || len(answer.GetAuthorizedProviders()) != 0 {
				t.Errorf("answer = %v after %v, want an error about %s and nobody to call", answer, requests, tt.says)
			}
		})
	}
}
