package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// admissionSum is the line of the API server's metrics that sums up the seconds which all admission policies took, at
// creations of whatever object.
const admissionSum = `apiserver_admission_controller_admission_duration_seconds_sum{name="MutatingAdmissionPolicy",operation="CREATE",rejected="false",type="admit"}`

// policyPods is how many Pods are created for a sample.
const policyPods = 100

// policyCost is what the admission policies take of each Pod's creation, in milliseconds. Pods are created as a dry run,
// which admission sees like any other. What else was created meanwhile counts as theirs.
func policyCost(ctx context.Context, b *bench, n int) (s samples, err error) {
	if err := b.ready(ctx); err != nil {
		return s, err
	}
	pods, err := somePods(policyPods)
	if err != nil {
		return s, err
	}
	for i := range n + 1 {
		before, err := b.admissionSeconds(ctx)
		if err != nil {
			return s, err
		}
		create := command{argv: []string{b.binary, "kubectl", "create", "--dry-run=server", "-f", "-"}, stdin: bytes.NewReader(pods)}
		if _, err := create.run(ctx); err != nil {
			return s, err
		}
		after, err := b.admissionSeconds(ctx)
		if err != nil {
			return s, err
		}
		if i > 0 { // the first compiles the policies
			s.ours = append(s.ours, (after-before)*1000/policyPods)
		}
	}
	return s, nil
}

// somePods is a list of Pods like those of an agent's Jobs: two containers that ask for Always.
func somePods(n int) ([]byte, error) {
	type object = map[string]any
	container := func(name string) object {
		return object{"name": name, "image": "dynsandbox.invalid/none:latest", "imagePullPolicy": "Always"}
	}
	var items []object
	for i := range n {
		items = append(items, object{"apiVersion": "v1", "kind": "Pod",
			"metadata": object{"name": fmt.Sprintf("bench-%d", i), "namespace": "default"},
			"spec":     object{"containers": []object{container("sidecar"), container("service")}}})
	}
	return json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": items})
}

func (b *bench) admissionSeconds(ctx context.Context) (float64, error) {
	metrics, err := b.dynsandbox(ctx, "kubectl", "get", "--raw", "/metrics")
	if err != nil {
		return 0, err
	}
	return metric(string(metrics), admissionSum)
}

// metric returns the value of one line of Prometheus' text format.
func metric(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strconv.ParseFloat(strings.TrimSpace(value), 64)
		}
	}
	return 0, errors.New("the API server has no metric " + name)
}
