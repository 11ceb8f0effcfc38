package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/dynsandbox/dynsandbox/platform/go/pkg/etcd"
)

// By these a service that reads data knows what it reads, and which columns it may hand on. A Job has them only if there
// are data sets.
const (
	datasetsVariable   = "DATASETS"           // a JSON list of [etcd.Dataset]
	anonymizedVariable = "ANONYMIZED_COLUMNS" // a JSON list: sensitive columns that services after this one in the Job make anonymous
)

// datasets finds what the launch files say about data sets. tell tells it to the services of the chain's Job: only they
// are this party's own, so no service of another Job makes anything anonymous here.
func (a *agent) datasets(ctx context.Context, chain []string) (tell func(*batchv1.Job), err error) {
	datasets, err := etcd.List[etcd.Dataset](ctx, a.store, etcd.DatasetPrefix)
	if err != nil {
		return nil, err
	}
	if len(datasets) == 0 {
		return func(*batchv1.Job) {}, nil
	}
	variables := map[string][]corev1.EnvVar{}
	anonymized := []string{}
	for _, service := range slices.Backward(chain) {
		variables[service] = []corev1.EnvVar{jsonVariable(datasetsVariable, datasets), jsonVariable(anonymizedVariable, anonymized)}
		m, _, err := etcd.Get[etcd.Microservice](ctx, a.store, etcd.MicroserviceKey(service))
		if err != nil {
			return nil, err
		}
		anonymized = append(anonymized, m.Anonymizes...)
	}
	return func(job *batchv1.Job) {
		containers := job.Spec.Template.Spec.Containers
		for i := range containers {
			containers[i].Env = append(containers[i].Env, variables[containers[i].Name]...)
		}
	}, nil
}

func jsonVariable(name string, value any) corev1.EnvVar {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err)) // texts, and lists and maps of them
	}
	return corev1.EnvVar{Name: name, Value: string(text)}
}
