package cluster

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// As kubeadm makes it.
const kubeadmDNS = `{"spec": {"replicas": 2, "template": {"spec": {"nodeSelector": {"kubernetes.io/os": "linux"}, "containers": [
	{"name": "coredns", "image": "registry.k8s.io/coredns/coredns:v1.14.6",
	 "readinessProbe": {"httpGet": {"path": "/ready", "port": "readiness-probe"}}}]}}}}`

func TestDNSPatch(t *testing.T) {
	t.Parallel()
	b, err := strategicpatch.StrategicMergePatch([]byte(kubeadmDNS), []byte(dnsPatch), appsv1.Deployment{})
	if err != nil {
		t.Fatal(err)
	}
	var d appsv1.Deployment
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	spec := d.Spec.Template.Spec
	if *d.Spec.Replicas != 1 || len(spec.Containers) != 1 {
		t.Fatalf("got %d replicas of %d containers", *d.Spec.Replicas, len(spec.Containers))
	}
	c := spec.Containers[0]
	if c.Image == "" || c.ReadinessProbe.HTTPGet == nil || spec.NodeSelector[corev1.LabelOSStable] != "linux" {
		t.Errorf("something of kubeadm's is lost: %s", b)
	}
	if _, ok := spec.NodeSelector["node-role.kubernetes.io/control-plane"]; !ok || c.ReadinessProbe.PeriodSeconds != 1 {
		t.Errorf("node %v, asked every %d s", spec.NodeSelector, c.ReadinessProbe.PeriodSeconds)
	}
	if len(c.Env) != 2 || c.Env[0].ValueFrom.FieldRef.FieldPath != "status.hostIP" || c.Env[1].Value != "6443" {
		t.Errorf("it asks the API server at %+v", c.Env)
	}
}
