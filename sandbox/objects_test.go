package sandbox

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/dynsandbox/dynsandbox/cluster"
)

func TestHurried(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		object string
		want   bool
	}{
		"deployment":            {`{kind: Deployment, spec: {template: {spec: {containers: []}}}}`, true},
		"the default, written":  {`{kind: StatefulSet, spec: {template: {spec: {dnsPolicy: ClusterFirst}}}}`, true},
		"the node's DNS":        {`{kind: DaemonSet, spec: {template: {spec: {dnsPolicy: Default}}}}`, false},
		"settings of its own":   {`{kind: Deployment, spec: {template: {spec: {dnsConfig: {options: [{name: ndots, value: "2"}]}}}}}`, false},
		"names resolve for it":  {`{kind: Job, spec: {template: {spec: {containers: []}}}}`, false},
		"no Pods":               {`{kind: Service, spec: {ports: []}}`, false},
		"a Deployment in ruins": {`{kind: Deployment}`, false},
	} {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(tc.object), &u.Object); err != nil {
			t.Fatal(err)
		}
		before := u.DeepCopy()
		got, err := hurried(cluster.Object{Unstructured: u, Chart: "chart", Template: "t.yaml"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		options, _, err := unstructured.NestedSlice(got.Object, "spec", "template", "spec", "dnsConfig", "options")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		timeout := len(options) == 2 && options[0].(map[string]any)["name"] == "timeout"
		if timeout != tc.want {
			t.Errorf("%s: options %v, want a timeout: %v", name, options, tc.want)
		}
		if got.Chart != "chart" || got.Template != "t.yaml" {
			t.Errorf("%s: it has lost where it comes from: %q, %q", name, got.Chart, got.Template)
		}
		if !reflect.DeepEqual(before.Object, u.Object) {
			t.Errorf("%s: the workspace's object was changed", name)
		}
	}
}
