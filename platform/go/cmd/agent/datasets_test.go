package main

import (
	"testing"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
)

// The services of a Job learn which data sets there are, and which columns those after them make anonymous.
func TestServicesLearnOfDatasets(t *testing.T) {
	t.Parallel()
	dataset := etcd.Dataset{Name: "wageGap", Tables: []string{"People"}, SensitiveColumns: map[string][]string{"People": {"born", "since"}}}
	store := configured(t, map[string]any{
		etcd.DatasetKey("wageGap"):            dataset,
		etcd.MicroserviceKey("sql-anonymize"): etcd.Microservice{Name: "sql-anonymize", Anonymizes: []string{"born"}},
	})
	a := newAgent("UVA", store, nil, nil, nil, images{tag: func(string) string { return "main" }})
	for _, tt := range []struct {
		chain []string
		want  map[string]string
	}{
		{[]string{"sql-query"}, map[string]string{"sql-query": "[]"}},
		{
			[]string{"sql-query", "sql-anonymize", "sql-algorithm"},
			map[string]string{"sql-query": `["born"]`, "sql-anonymize": "[]", "sql-algorithm": "[]"},
		},
	} {
		tell, err := a.datasets(t.Context(), tt.chain)
		if err != nil {
			t.Fatal(err)
		}
		job := a.manifest("j", &pb.CompositionRequest{}, tt.chain)
		tell(job)
		for _, c := range job.Spec.Template.Spec.Containers {
			env := map[string]string{}
			for _, e := range c.Env {
				env[e.Name] = e.Value
			}
			want, service := tt.want[c.Name]
			if !service { // the sidecar
				if _, told := env[datasetsVariable]; told {
					t.Errorf("%v: %s is told", tt.chain, c.Name)
				}
				continue
			}
			if env[datasetsVariable] != `[{"name":"wageGap","tables":["People"],"sensitive_columns":{"People":["born","since"]}}]` || env[anonymizedVariable] != want {
				t.Errorf("%v: %s has %s and %s, want %s", tt.chain, c.Name, env[datasetsVariable], env[anonymizedVariable], want)
			}
		}
	}
}

func TestWithoutDatasetsNothingIsAdded(t *testing.T) {
	t.Parallel()
	a := newAgent("UVA", configured(t, nil), nil, nil, nil, images{tag: func(string) string { return "main" }})
	tell, err := a.datasets(t.Context(), []string{"sql-query"})
	if err != nil {
		t.Fatal(err)
	}
	job := a.manifest("j", &pb.CompositionRequest{}, []string{"sql-query"})
	before := len(job.Spec.Template.Spec.Containers[0].Env)
	tell(job)
	if after := len(job.Spec.Template.Spec.Containers[0].Env); after != before {
		t.Errorf("%d variables, then %d", before, after)
	}
}
