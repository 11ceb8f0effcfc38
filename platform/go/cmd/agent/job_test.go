package main

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	pb "github.com/dynsandbox/dynsandbox/platform/go/pkg/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestManifest(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"MICROSERVICE_REPOSITORY_NAME": "example", "SIDECAR_NAME": "car", "SQL-ALGORITHM_TAG": "v2", "CAR_TAG": "v3",
	}
	tests := []struct {
		golden, agent string
		getenv        func(string) string
		request       *pb.CompositionRequest
		chain         []string
	}{
		{
			"testdata/job-default.json", "UVA", func(string) string { return "" },
			&pb.CompositionRequest{Role: "all", JobName: "ann-12345678", LocalJobName: "ann-12345678uva1"},
			[]string{"sql-query", "sql-anonymize", "sql-algorithm"},
		},
		{
			"testdata/job-third-party.json", "SURF", func(name string) string { return env[name] },
			&pb.CompositionRequest{Role: "computeProvider", JobName: "ann-12345678", LocalJobName: "ann-12345678surf1", DataProviders: []string{"UVA", "VU"}},
			[]string{"sql-algorithm"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.golden, func(t *testing.T) {
			t.Parallel()
			a := newAgent(tt.agent, nil, nil, nil, nil, imagesFromEnv(tt.getenv))
			name := kubernetesJobName(tt.request.GetJobName(), a.namespace, 2)
			got, err := json.MarshalIndent(a.manifest(name, tt.request, tt.chain), "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			if *update {
				if err := os.WriteFile(tt.golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(tt.golden)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != string(want) {
				t.Errorf("manifest differs from %s (rewrite it with -update):\n%s", tt.golden, got)
			}
		})
	}
}

func TestServicesLearnTheLimitOfARequest(t *testing.T) {
	t.Parallel()
	a := newAgent("UVA", nil, nil, nil, nil, imagesFromEnv(func(string) string { return "" }))
	a.timeout = time.Minute
	job := a.manifest("j", &pb.CompositionRequest{}, []string{"sql-query"})
	env := job.Spec.Template.Spec.Containers[0].Env
	if last := env[len(env)-1]; last.Name != "DYNAMOS_HTTP_REQUEST_TIMEOUT" || last.Value != "60" {
		t.Errorf("env = %v, want the limit in seconds", env)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{1: "Ann-12345678uva1", 2: "Ann-12345678uva2"} {
		if got := localJobName("Ann-12345678", "uva", n); got != want {
			t.Errorf("localJobName = %s, want %s", got, want)
		}
	}
	for n, want := range map[int]string{1: "ann-12345678uva1", 10: "ann-12345678uva10"} {
		if got := kubernetesJobName("Ann-12345678", "uva", n); got != want {
			t.Errorf("kubernetesJobName = %s, want %s", got, want)
		}
	}
}
