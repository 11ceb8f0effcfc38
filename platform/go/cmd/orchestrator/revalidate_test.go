package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"google.golang.org/protobuf/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd/etcdtest"
	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
	"github.com/dynsandbox/dynsandbox/platform/go/pkg/service/sidecartest"
)

const annsJob = "ann-12345678"

// approvedJob is an orchestrator whose agents keep ann's job, by their roles, and a job of another user.
func approvedJob(t *testing.T, archetype string, roles map[string]string) (*orchestrator, *etcdtest.Memory, *sidecartest.Sidecar) {
	t.Helper()
	sidecar := sidecartest.New()
	o, store := orchestration(t, sidecar, "UVA", "VU", "SURF", "TNO")
	keep := func(agent, job string, part *pb.CompositionRequest) {
		part.ArchetypeId, part.RequestType, part.JobName, part.DestinationQueue = archetype, "sqlDataRequest", job, agent+"-in"
		part.LocalJobName = job + strings.ToLower(agent) + "1"
		if err := etcd.Put(t.Context(), store, etcd.JobKey(agent, part.GetUser().GetUserName(), job), part); err != nil {
			t.Fatal(err)
		}
		_ = store.Put(t.Context(), etcd.Entry{Key: etcd.QueueInfoKey(agent, part.LocalJobName), Value: []byte(part.LocalJobName)})
	}
	for agent, role := range roles {
		keep(agent, annsJob, &pb.CompositionRequest{Role: role, User: ann})
	}
	keep("UVA", "bob-1", &pb.CompositionRequest{Role: roleAll, User: &pb.User{UserName: "bob@x"}})
	return o, store, sidecar
}

// leases are the agents that still have a lease for ann's job.
func leases(t *testing.T, store etcd.Store) []string {
	t.Helper()
	var agents []string
	for _, agent := range []string{"SURF", "TNO", "UVA", "VU"} {
		entries, err := store.List(t.Context(), etcd.QueueInfoPrefix(agent)+annsJob)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) > 0 {
			agents = append(agents, agent)
		}
	}
	return agents
}

// partOf is an agent's part in ann's job.
func partOf(t *testing.T, store etcd.Store, agent string) *pb.CompositionRequest {
	t.Helper()
	part, _, err := etcd.Get[*pb.CompositionRequest](t.Context(), store, etcd.JobKey(agent, ann.GetUserName(), annsJob))
	if err != nil {
		t.Fatal(err)
	}
	return part
}

var computeToDataRoles = map[string]string{"UVA": roleAll, "VU": roleAll}

var thirdPartyRoles = map[string]string{"UVA": roleDataProvider, "VU": roleDataProvider, "SURF": roleComputeProvider}

func TestReplacedAgreement(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, agreement string
		asked           []string // jobs that the policy enforcer is asked about
		left            []string // agents that keep ann's job
	}{
		{
			"allows", `{"name":"UVA","relations":{"ann@x":{"ID":"7","allowedArchetypes":["computeToData"]},"bob@x":{"allowedArchetypes":["a"]}}}`,
			[]string{annsJob, "bob-1"}, []string{"UVA", "VU"},
		},
		{"knows the user no more", `{"name":"UVA","relations":{"bob@x":{"allowedArchetypes":["a"]}}}`, []string{"bob-1"}, nil},
		{
			"allows nothing", `{"name":"UVA","relations":{"ann@x":{"allowedArchetypes":[""]},"bob@x":{"allowedArchetypes":["a"]}}}`,
			[]string{"bob-1"}, nil,
		},
		{"is of a steward without jobs", `{"name":"RUG","relations":{}}`, nil, []string{"UVA", "VU"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, store, sidecar := approvedJob(t, "computeToData", computeToDataRoles)
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPut, "/api/v1/policyEnforcer", strings.NewReader(tt.agreement))
			o.routes(fstest.MapFS{}).ServeHTTP(w, r)
			if w.Code != 200 || w.Body.String() != "OK" {
				t.Fatalf("answer = %d %s", w.Code, w.Body)
			}
			asked := map[string]*pb.PolicyUpdate{}
			for range len(sidecar.Calls) {
				update := (<-sidecar.Calls).Message.(*pb.PolicyUpdate)
				asked[update.GetRequestMetadata().GetJobName()] = update
			}
			if got := slices.Sorted(maps.Keys(asked)); !slices.Equal(got, tt.asked) {
				t.Errorf("asked about %v, want %v", got, tt.asked)
			}
			if update, ok := asked[annsJob]; ok {
				want := &pb.PolicyUpdate{
					Type: "policyUpdate", User: ann, DataProviders: []string{"UVA", "VU"}, RequestMetadata: &pb.RequestMetadata{
						DestinationQueue: "policyEnforcer-in", JobName: annsJob, CorrelationId: update.GetRequestMetadata().GetCorrelationId(),
					},
				}
				if !proto.Equal(update, want) || want.GetRequestMetadata().GetCorrelationId() == "" {
					t.Errorf("asked:\n got %v\nwant %v, with a correlation id", update, want)
				}
			}
			if got := leases(t, store); !slices.Equal(got, tt.left) {
				t.Errorf("job left at %v, want %v", got, tt.left)
			}
		})
	}
}

func TestPolicyUpdated(t *testing.T) {
	t.Parallel()
	both, toData, through := []string{"computeToData", "dataThroughTtp"}, []string{"computeToData"}, []string{"dataThroughTtp"}
	tests := []struct {
		name       string
		archetype  string
		roles      map[string]string
		archetypes map[string][]string // that each provider allows now; a provider without is not valid any more
		parties    []string            // that all allow
		left       []string            // agents that keep a lease
		want       map[string]string   // roles afterwards, of those that keep theirs
		told       string              // the agent that gets a composition request
	}{
		{
			"the same", "computeToData", computeToDataRoles, map[string][]string{"UVA": both, "VU": both}, []string{"SURF"},
			[]string{"UVA", "VU"}, computeToDataRoles, "",
		},
		{
			"a heavier archetype stays", "dataThroughTtp", thirdPartyRoles, map[string][]string{"UVA": both, "VU": both}, []string{"SURF"},
			[]string{"SURF", "UVA", "VU"}, thirdPartyRoles, "",
		},
		{"one provider allows nothing", "computeToData", computeToDataRoles, map[string][]string{"UVA": both}, []string{"SURF"}, nil, computeToDataRoles, ""},
		{"nothing in common", "computeToData", computeToDataRoles, map[string][]string{"UVA": toData, "VU": through}, []string{"SURF"}, nil, computeToDataRoles, ""},
		{
			"to the third party", "computeToData", computeToDataRoles, map[string][]string{"UVA": both, "VU": through}, []string{"SURF"},
			[]string{"UVA", "VU"}, map[string]string{"UVA": roleDataProvider, "VU": roleDataProvider}, "SURF-in",
		},
		{
			"to the data", "dataThroughTtp", thirdPartyRoles, map[string][]string{"UVA": toData, "VU": both}, []string{"SURF"},
			[]string{"UVA", "VU"}, computeToDataRoles, "",
		},
		{
			"to another third party", "dataThroughTtp", thirdPartyRoles, map[string][]string{"UVA": both, "VU": through}, []string{"TNO"},
			[]string{"UVA", "VU"}, map[string]string{"UVA": roleDataProvider, "VU": roleDataProvider}, "TNO-in",
		},
		{"no third party left", "dataThroughTtp", thirdPartyRoles, map[string][]string{"UVA": through, "VU": through}, nil, nil, thirdPartyRoles, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o, store, sidecar := approvedJob(t, tt.archetype, tt.roles)
			update := &pb.PolicyUpdate{
				Type: "policyUpdate", User: ann, RequestMetadata: &pb.RequestMetadata{JobName: annsJob},
				ValidationResponse: &pb.ValidationResponse{ValidDataproviders: map[string]*pb.DataProvider{}},
			}
			for provider, archetypes := range tt.archetypes {
				update.ValidationResponse.ValidDataproviders[provider] = &pb.DataProvider{Archetypes: archetypes, ComputeProviders: tt.parties}
			}
			for range 2 { // the original's policy enforcer may answer twice
				if err := o.handlers()["policyUpdate"](t.Context(), sidecartest.Envelope("policyUpdate", update, nil)); err != nil {
					t.Fatal(err)
				}
			}
			if got := leases(t, store); !slices.Equal(got, tt.left) {
				t.Errorf("job left at %v, want %v", got, tt.left)
			}
			for agent, role := range tt.want {
				part := partOf(t, store, agent)
				if part.GetRole() != role || part.GetLocalJobName() != annsJob+strings.ToLower(agent)+"1" {
					t.Errorf("%s's part = %v, want role %s and the queue that it had", agent, part, role)
				}
			}
			told := ""
			for range len(sidecar.Calls) {
				request := (<-sidecar.Calls).Message.(*pb.CompositionRequest)
				told = request.GetDestinationQueue()
				want := &pb.CompositionRequest{
					ArchetypeId: "dataThroughTtp", RequestType: "sqlDataRequest", Role: roleComputeProvider, User: ann,
					DataProviders: []string{"UVA", "VU"}, DestinationQueue: tt.told, JobName: annsJob,
				}
				if !proto.Equal(request, want) {
					t.Errorf("told:\n got %v\nwant %v", request, want)
				}
			}
			if told != tt.told {
				t.Errorf("told %q, want %q", told, tt.told)
			}
		})
	}
}

func TestPolicyUpdateOfAJobThatEnded(t *testing.T) {
	t.Parallel()
	o, _ := orchestration(t, sidecartest.New())
	update := &pb.PolicyUpdate{User: ann, RequestMetadata: &pb.RequestMetadata{JobName: annsJob}}
	if err := o.policyUpdated(t.Context(), update); err != nil {
		t.Errorf("update = %v, want nothing to do", err)
	}
}

// replace replaces UVA's agreement by one that allows ann these archetypes, and returns what the policy enforcer says then.
func replace(t *testing.T, o *orchestrator, sidecar *sidecartest.Sidecar, archetypes ...string) *pb.PolicyUpdate {
	t.Helper()
	err := o.agreementChanged(t.Context(), etcd.Agreement{
		Name: "UVA", Relations: map[string]etcd.Relation{"ann@x": {AllowedArchetypes: archetypes}, "bob@x": {AllowedArchetypes: []string{"a"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var answer *pb.PolicyUpdate
	for range len(sidecar.Calls) {
		if update, ok := (<-sidecar.Calls).Message.(*pb.PolicyUpdate); ok && update.GetRequestMetadata().GetJobName() == annsJob {
			answer = update
		}
	}
	if answer == nil {
		return nil
	}
	allowed := map[string]*pb.DataProvider{}
	for _, name := range answer.GetDataProviders() {
		allowed[name] = &pb.DataProvider{Archetypes: archetypes, ComputeProviders: []string{"SURF"}}
	}
	answer.ValidationResponse = &pb.ValidationResponse{ValidDataproviders: allowed}
	return answer
}

// waiting has an orchestrator bring ann's job to a third party that is away, and returns when it waits for that.
func waiting(t *testing.T) (o *orchestrator, store *etcdtest.Memory, sidecar *sidecartest.Sidecar, done <-chan error) {
	t.Helper()
	o, store, sidecar = approvedJob(t, "computeToData", computeToDataRoles)
	_ = store.Delete(t.Context(), etcd.OnlineKey("SURF"))
	answer, ended := replace(t, o, sidecar, "dataThroughTtp"), make(chan error, 1)
	go func() { ended <- o.policyUpdated(t.Context(), answer) }()
	synctest.Wait()
	return o, store, sidecar, ended
}

func TestAgreementThatChangesAgainWhileAnAgentIsAway(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		archetypes []string
		left       []string
	}{{"allows nothing", nil, nil}, {"allows what it did", []string{"computeToData"}, []string{"UVA", "VU"}}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				o, store, sidecar, done := waiting(t)
				if answer := replace(t, o, sidecar, test.archetypes...); answer != nil {
					if err := o.policyUpdated(t.Context(), answer); err != nil {
						t.Fatal(err)
					}
				}
				bringOnline(t, store, "SURF")
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if got := leases(t, store); !slices.Equal(got, test.left) {
					t.Errorf("job left at %v, want %v", got, test.left)
				}
				if got := partOf(t, store, "UVA").GetRole(); got != roleAll {
					t.Errorf("UVA's role = %s, which the former agreement wanted", got)
				}
				if n := len(sidecar.Calls); n != 0 {
					t.Errorf("%d agents told of a job that they have no part in", n)
				}
				synctest.Wait()
			})
		})
	}
}

func TestForbiddenJobWhoseAgreementAllowsItAgain(t *testing.T) {
	t.Parallel()
	o, store, sidecar := approvedJob(t, "computeToData", computeToDataRoles)
	forbidden := replace(t, o, sidecar, "computeToData")
	forbidden.ValidationResponse.ValidDataproviders = nil
	replace(t, o, sidecar, "computeToData")
	if err := o.policyUpdated(t.Context(), forbidden); err != nil {
		t.Fatal(err)
	}
	if got := leases(t, store); len(got) != 2 {
		t.Errorf("job left at %v, want both: the answer is of an agreement that was replaced", got)
	}
}

// renew does what an agent does that gives ann's job a new queue.
func renew(t *testing.T, store etcd.Store, agent string) {
	t.Helper()
	part := partOf(t, store, agent)
	old := part.GetLocalJobName()
	part.LocalJobName = strings.TrimSuffix(old, "1") + "2"
	_ = store.Put(t.Context(), etcd.Entry{Key: etcd.QueueInfoKey(agent, part.LocalJobName), Value: []byte(part.LocalJobName)})
	if err := etcd.Put(t.Context(), store, etcd.JobKey(agent, ann.GetUserName(), annsJob), part); err != nil {
		t.Fatal(err)
	}
	_ = store.Delete(t.Context(), etcd.QueueInfoKey(agent, old))
}

func TestRecomposedJobKeepsAQueueThatWasRenewedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, store, _, done := waiting(t)
		renew(t, store, "UVA")
		bringOnline(t, store, "SURF")
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := partOf(t, store, "UVA"); got.GetRole() != roleDataProvider || got.GetLocalJobName() != annsJob+"uva2" {
			t.Errorf("UVA's part = %v, want the new role and the queue that it has now", got)
		}
		if got := leases(t, store); !slices.Equal(got, []string{"UVA", "VU"}) {
			t.Errorf("job left at %v", got)
		}
		synctest.Wait()
	})
}

// beforeStore does something once, before a change or the deletion of a key.
type beforeStore struct {
	*etcdtest.Memory
	key    string
	before func()
}

func (s *beforeStore) first(key string) {
	if before := s.before; key == s.key && before != nil {
		s.before = nil
		before()
	}
}

func (s *beforeStore) Swap(ctx context.Context, changes ...etcd.Change) (bool, error) {
	s.first(changes[0].Key)
	return s.Memory.Swap(ctx, changes...)
}

func (s *beforeStore) Delete(ctx context.Context, key string) error {
	s.first(key)
	return s.Memory.Delete(ctx, key)
}

func TestJobWhoseQueueIsRenewedAsItEndsEnds(t *testing.T) {
	t.Parallel()
	o, store, sidecar := approvedJob(t, "computeToData", computeToDataRoles)
	o.store = &beforeStore{store, etcd.QueueInfoKey("UVA", annsJob+"uva1"), func() { renew(t, store, "UVA") }}
	replace(t, o, sidecar)
	if got := leases(t, store); got != nil {
		t.Errorf("job left at %v, want none", got)
	}
}

func TestPartThatIsRenewedAsItChangesKeepsBoth(t *testing.T) {
	t.Parallel()
	o, store, sidecar := approvedJob(t, "computeToData", computeToDataRoles)
	o.store = &beforeStore{store, etcd.JobKey("UVA", ann.GetUserName(), annsJob), func() { renew(t, store, "UVA") }}
	if err := o.policyUpdated(t.Context(), replace(t, o, sidecar, "dataThroughTtp")); err != nil {
		t.Fatal(err)
	}
	if got := partOf(t, store, "UVA"); got.GetRole() != roleDataProvider || got.GetLocalJobName() != annsJob+"uva2" {
		t.Errorf("UVA's part = %v, want the new role and the new queue", got)
	}
}

func TestJobThatCannotBeChangedEnds(t *testing.T) {
	t.Parallel()
	t.Run("an agent isn't told", func(t *testing.T) {
		t.Parallel()
		o, store, sidecar := approvedJob(t, "computeToData", computeToDataRoles)
		sidecar.OnCall = func(call sidecartest.Call) error {
			if call.RPC == "SendCompositionRequest" {
				return errors.New("no such queue")
			}
			return nil
		}
		err := o.policyUpdated(t.Context(), replace(t, o, sidecar, "dataThroughTtp"))
		if err == nil || !strings.Contains(err.Error(), "no such queue") {
			t.Errorf("error = %v", err)
		}
		if got := leases(t, store); got != nil {
			t.Errorf("job left at %v, want none: half of it was changed", got)
		}
	})
	t.Run("an agent stays away", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			_, store, _, done := waiting(t)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if got := leases(t, store); got != nil {
				t.Errorf("job left at %v, want none", got)
			}
			synctest.Wait()
		})
	})
}

func TestPolicyUpdateWithoutAVerdictEndsNothing(t *testing.T) {
	t.Parallel()
	o, store, _ := approvedJob(t, "computeToData", computeToDataRoles)
	update := &pb.PolicyUpdate{User: ann, RequestMetadata: &pb.RequestMetadata{JobName: annsJob}}
	if err := o.policyUpdated(t.Context(), update); err == nil {
		t.Error("no error")
	}
	if got := leases(t, store); len(got) != 2 {
		t.Errorf("job left at %v, want both", got)
	}
}
