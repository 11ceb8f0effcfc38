package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

var ann = &pb.User{Id: "7", UserName: "ann@x"}

// orchestration is an orchestrator with the given agents online.
func orchestration(t *testing.T, sidecar *sidecartest.Sidecar, online ...string) (*orchestrator, *etcdtest.Memory) {
	t.Helper()
	store := etcdtest.New()
	for _, archetype := range []etcd.Archetype{
		{Name: "computeToData", ComputeProvider: "dataProvider", Weight: 100}, {Name: "dataThroughTtp", ComputeProvider: "other", Weight: 200},
	} {
		if err := etcd.Put(t.Context(), store, etcd.ArchetypeKey(archetype.Name), archetype); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range online {
		bringOnline(t, store, name)
	}
	return &orchestrator{store: store, sidecar: sidecar}, store
}

func bringOnline(t *testing.T, store etcd.Store, name string) {
	t.Helper()
	lower := strings.ToLower(name)
	agent := etcd.Agent{Name: name, RoutingKey: name + "-in", DNS: lower + "." + lower + ".svc.cluster.local"}
	if err := etcd.Put(t.Context(), store, etcd.OnlineKey(name), agent); err != nil {
		t.Fatal(err)
	}
}

// composed runs compose with the given agents online, and returns what sentBy does.
func composed(t *testing.T, validation *pb.ValidationResponse, sidecar *sidecartest.Sidecar, online ...string) (requests []*pb.CompositionRequest, answer *pb.RequestApprovalResponse) {
	t.Helper()
	o, _ := orchestration(t, sidecar, online...)
	envelope := sidecartest.Envelope("validationResponse", validation, nil)
	if err := o.handlers()["validationResponse"](context.Background(), envelope); err != nil {
		t.Fatal(err)
	}
	return sentBy(t, sidecar)
}

// sentBy is everything that was sent, the requests to agents by their queues, the third party's last.
func sentBy(t *testing.T, sidecar *sidecartest.Sidecar) (requests []*pb.CompositionRequest, answer *pb.RequestApprovalResponse) {
	t.Helper()
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
	requests, answer := composed(t, validated(nil, "UVA", "VU"), sidecartest.New(), "UVA", "VU", "SURF")
	want := map[string]string{"UVA": "uva.uva.svc.cluster.local", "VU": "vu.vu.svc.cluster.local"}
	if answer.GetError() != "" || len(answer.GetAuthorizedProviders()) != 2 || answer.GetAuthorizedProviders()["UVA"] != want["UVA"] {
		t.Errorf("answer = %v, want both providers", answer)
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
	apart := validated(map[string]bool{"aggregate": true}, "UVA", "VU")
	apart.ValidDataproviders["VU"].ComputeProviders = []string{"TNO"}
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
		away       []string
		says       string
	}{
		{"denied", denied, sidecartest.New(), []string{"UVA"}, false, nil, "RUG"},
		{"offline", validated(nil, "UVA"), sidecartest.New(), nil, true, []string{"UVA"}, "data provider not online: UVA"},
		{"one of two offline", validated(nil, "UVA", "VU"), sidecartest.New(), []string{"UVA"}, true, []string{"VU"}, "data provider not online: VU"},
		{
			"third party offline", validated(map[string]bool{"aggregate": true}, "UVA"), sidecartest.New(), []string{"UVA"}, true,
			[]string{"SURF"}, "compute provider not online: SURF",
		},
		{"no third party in common", apart, sidecartest.New(), []string{"UVA", "VU", "SURF", "TNO"}, true, nil, "no compute provider is allowed by all of UVA, VU"},
		{"not sent", validated(nil, "UVA"), broken, []string{"UVA"}, true, nil, "no broker"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				requests, answer := composed(t, tt.validation, tt.sidecar, tt.online...)
				if len(requests) != 0 || !strings.Contains(answer.GetError(), tt.says) || (answer.GetAuth() != nil) != tt.auth || answer.GetJobId() != "" {
					t.Errorf("answer = %v after %v, want an error about %s", answer, requests, tt.says)
				}
				away := slices.Sorted(maps.Keys(answer.GetAuthorizedProviders()))
				if !slices.Equal(away, tt.away) || strings.Join(slices.Collect(maps.Values(answer.GetAuthorizedProviders())), "") != "" {
					t.Errorf("authorized = %v, want %v without an address", answer.GetAuthorizedProviders(), tt.away)
				}
			})
		})
	}
}

func TestRequestWaitsForAgentsThatRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o, store := orchestration(t, sidecartest.New(), "UVA", "SURF")
		composed := make(chan error)
		go func() { composed <- o.compose(t.Context(), validated(nil, "UVA", "VU")) }()
		time.Sleep(onlinePatience / 2)
		bringOnline(t, store, "VU")
		if err := <-composed; err != nil {
			t.Fatal(err)
		}
		requests, answer := sentBy(t, o.sidecar.(*sidecartest.Sidecar))
		if answer.GetError() != "" || len(answer.GetAuthorizedProviders()) != 2 || len(requests) != 2 {
			t.Errorf("answer = %v after %v, want both agents told and named", answer, requests)
		}
	})
}
