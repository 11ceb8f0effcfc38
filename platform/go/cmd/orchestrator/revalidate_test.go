package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

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
			jobs, err := o.jobs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for agent, role := range tt.want {
				part := jobs[annsJob].parts[agent]
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
