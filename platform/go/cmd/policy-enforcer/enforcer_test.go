package main

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	relation := func(archetypes, providers []string) map[string]etcd.Relation {
		return map[string]etcd.Relation{"ann@x": {AllowedArchetypes: archetypes, AllowedComputeProviders: providers}}
	}
	tests := []struct {
		name       string
		agreement  etcd.Agreement
		ok         bool
		archetypes []string
		providers  []string
	}{
		{name: "no agreement"},
		{name: "no relation", agreement: etcd.Agreement{Archetypes: []string{"a"}, Relations: map[string]etcd.Relation{"bob@x": {AllowedArchetypes: []string{"a"}}}}},
		{
			name:       "order of the agreement",
			agreement:  etcd.Agreement{Archetypes: []string{"b", "a", "c"}, Relations: relation([]string{"a", "b"}, nil)},
			ok:         true,
			archetypes: []string{"b", "a"},
		},
		{name: "nothing in common", agreement: etcd.Agreement{Archetypes: []string{"a"}, Relations: relation([]string{"b"}, nil)}},
		{
			name: "compute providers",
			agreement: etcd.Agreement{
				Archetypes: []string{"a", "a"}, ComputeProviders: []string{"SURF", "OTHER"},
				Relations: relation([]string{"a"}, []string{"THIRD", "SURF"}),
			},
			ok: true, archetypes: []string{"a"}, providers: []string{"SURF"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := judge(tt.agreement, "ann@x")
			if ok != tt.ok || !slices.Equal(got.archetypes, tt.archetypes) || !slices.Equal(got.computeProviders, tt.providers) {
				t.Errorf("judge = %+v, %v, want archetypes %v, compute providers %v, %v", got, ok, tt.archetypes, tt.providers, tt.ok)
			}
		})
	}
}

// agreements is a store with agreements of UVA and VU with ann.
func agreements(t *testing.T) *etcdtest.Memory {
	t.Helper()
	store := etcdtest.New()
	for _, name := range []string{"UVA", "VU"} {
		if err := etcd.Put(t.Context(), store, etcd.AgreementKey(name), etcd.Agreement{
			Name: name, Archetypes: []string{"computeToData"}, ComputeProviders: []string{"SURF"},
			Relations: map[string]etcd.Relation{"ann@x": {AllowedArchetypes: []string{"computeToData"}, AllowedComputeProviders: []string{"SURF"}}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// enforce runs one handler, and returns what it sent.
func enforce(t *testing.T, kind string, message proto.Message) sidecartest.Call {
	t.Helper()
	sidecar := sidecartest.New()
	e := &enforcer{store: agreements(t), sidecar: sidecar}
	if err := e.handlers()[kind](context.Background(), sidecartest.Envelope(kind, message, nil)); err != nil {
		t.Fatal(err)
	}
	return <-sidecar.Calls
}

func TestApprovalIsAlwaysAnswered(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, user string
		providers  []string
		approved   bool
		valid      []string
		invalid    []string
	}{
		{"known", "ann@x", []string{"VU", "UVA"}, true, []string{"UVA", "VU"}, nil},
		{"one unknown provider", "ann@x", []string{"VU", "RUG"}, true, []string{"VU"}, []string{"RUG"}},
		{"only unknown providers", "ann@x", []string{"RUG", "X"}, false, nil, []string{"RUG", "X"}},
		{"unknown user", "bob@x", []string{"UVA"}, false, nil, []string{"UVA"}},
		{"no provider", "ann@x", nil, false, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			user := &pb.User{Id: "7", UserName: tt.user}
			call := enforce(t, "requestApproval", &pb.RequestApproval{
				Type: "sqlDataRequest", User: user, DataProviders: tt.providers, Options: map[string]bool{"aggregate": true},
			})
			got := call.Message.(*pb.ValidationResponse)
			want := &pb.ValidationResponse{
				Type: "validationResponse", RequestType: "sqlDataRequest", User: user,
				ValidDataproviders: map[string]*pb.DataProvider{}, InvalidDataproviders: tt.invalid,
				RequestApproved: tt.approved, Options: map[string]bool{"aggregate": true},
				ValidArchetypes: &pb.UserArchetypes{UserName: tt.user, Archetypes: map[string]*pb.UserAllowedArchetypes{}},
			}
			for _, name := range tt.valid {
				want.ValidDataproviders[name] = &pb.DataProvider{Archetypes: []string{"computeToData"}, ComputeProviders: []string{"SURF"}}
				want.ValidArchetypes.Archetypes[name] = &pb.UserAllowedArchetypes{Archetypes: []string{"computeToData"}}
			}
			if tt.approved {
				want.Auth = &pb.Auth{AccessToken: "1234", RefreshToken: "1234"}
			}
			if !proto.Equal(got, want) {
				t.Errorf("answer:\n got %v\nwant %v", got, want)
			}
		})
	}
}

func TestStoreThatIsAway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		away     time.Duration
		approved bool
	}{{"comes back in time", 10 * time.Second, true}, {"stays away", time.Minute, false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &awayStore{Memory: agreements(t), key: etcd.AgreementKey("VU"), until: time.Now().Add(test.away)}
				sidecar := sidecartest.New()
				e := &enforcer{store: store, sidecar: sidecar}
				message := sidecartest.Envelope("requestApproval", &pb.RequestApproval{
					Type: "sqlDataRequest", User: &pb.User{UserName: "ann@x"}, DataProviders: []string{"UVA", "VU"},
				}, nil)
				if err := e.handlers()["requestApproval"](t.Context(), message); err != nil {
					t.Fatal(err)
				}
				got := (<-sidecar.Calls).Message.(*pb.ValidationResponse)
				want := 0 // never a subset
				if test.approved {
					want = 2
				}
				if got.GetRequestApproved() != test.approved || len(got.GetValidDataproviders()) != want || (got.GetAuth() != nil) != test.approved {
					t.Errorf("answer = %v, want approved %v with %d providers", got, test.approved, want)
				}
			})
		})
	}
}

func TestPolicyUpdateWithoutItsAgreementsIsNotAnswered(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		away    time.Duration
		answers int
	}{{"comes back", time.Minute, 1}, {"stays away", time.Hour, 0}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := &awayStore{Memory: agreements(t), key: etcd.AgreementKey("VU"), until: time.Now().Add(test.away)}
				sidecar := sidecartest.New()
				e := &enforcer{store: store, sidecar: sidecar}
				message := sidecartest.Envelope("policyUpdate", &pb.PolicyUpdate{
					Type: "policyUpdate", User: &pb.User{UserName: "ann@x"}, DataProviders: []string{"UVA", "VU"},
				}, nil)
				if err := e.handlers()["policyUpdate"](t.Context(), message); (err == nil) != (test.answers == 1) {
					t.Errorf("error = %v", err)
				}
				if n := len(sidecar.Calls); n != test.answers {
					t.Fatalf("%d answers, want %d: one without the agreements would end the job", n, test.answers)
				}
				for range test.answers {
					if got := (<-sidecar.Calls).Message.(*pb.PolicyUpdate).GetValidationResponse(); len(got.GetValidDataproviders()) != 2 {
						t.Errorf("validation = %v, want both approved", got)
					}
				}
			})
		})
	}
}

// awayStore can't read one key for a while.
type awayStore struct {
	*etcdtest.Memory
	key   string
	until time.Time
}

func (s *awayStore) Get(ctx context.Context, key string) ([]byte, error) {
	if key == s.key && time.Now().Before(s.until) {
		return nil, errors.New("connection refused")
	}
	return s.Memory.Get(ctx, key)
}

func TestPolicyUpdateComesBack(t *testing.T) {
	t.Parallel()
	call := enforce(t, "policyUpdate", &pb.PolicyUpdate{
		Type: "policyUpdate", User: &pb.User{UserName: "ann@x"}, DataProviders: []string{"UVA"},
		RequestMetadata: &pb.RequestMetadata{CorrelationId: "c", DestinationQueue: "policyEnforcer-in"},
	})
	got := call.Message.(*pb.PolicyUpdate)
	if got.GetRequestMetadata().GetDestinationQueue() != "orchestrator-in" || got.GetRequestMetadata().GetCorrelationId() != "c" {
		t.Errorf("request metadata = %v, want the same correlation id, to the orchestrator", got.GetRequestMetadata())
	}
	if v := got.GetValidationResponse(); v.GetType() != "policyUpdate" || !v.GetRequestApproved() || v.GetValidDataproviders()["UVA"] == nil {
		t.Errorf("validation = %v, want UVA approved", v)
	}
}
