package cluster

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

var testMounts = []Mount{
	{Folder: "agent", Images: []string{"docker.io/dynamos1/agent:main", "docker.io/dynamos1/agent:latest"}, Path: "/app"},
	{Folder: "orchestrator", Images: []string{"docker.io/dynamos1/orchestrator:main"}, Path: "/app", Points: []string{"/app/etcd"}},
}

func TestMountTakes(t *testing.T) {
	t.Parallel()
	agent, orchestrator := testMounts[0], testMounts[1]
	for _, image := range []string{"dynamos1/agent:main", "docker.io/dynamos1/agent:main", "index.docker.io/dynamos1/agent:main", "dynamos1/agent", "dynamos1/agent:latest"} {
		if !agent.Takes(image) || orchestrator.Takes(image) {
			t.Errorf("%s: agent %v, orchestrator %v", image, agent.Takes(image), orchestrator.Takes(image))
		}
	}
	for _, image := range []string{"", "agent:main", "dynamos1/agent:other", "dynamos1/agent:main@sha256:0", "ghcr.io/dynamos1/agent:main", "dynamos1/agents:main"} {
		if agent.Takes(image) {
			t.Errorf("it takes %q", image)
		}
	}
	for path, want := range map[string]bool{"/app": false, "/app/etcd": true, "/app/data": false, "/application": true, "/tmp": true} {
		if got := orchestrator.Takes("dynamos1/orchestrator:main", "/var", path); got != want {
			t.Errorf("with a volume at %s: got %v", path, got)
		}
	}
}

func TestMountVolumeNames(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, folder := range []string{"agent", "Agent", "my_service", "my.service", strings.Repeat("x", 90), strings.Repeat("x", 91)} {
		name := Mount{Folder: folder}.volume()
		if len(name) > 63 || strings.ToLower(name) != name || strings.ContainsAny(name, "_.") || names[name] {
			t.Errorf("%s: volume %q", folder, name)
		}
		names[name] = true
	}
}

func TestMountPolicy(t *testing.T) {
	t.Parallel()
	objects, version, err := mountPolicy(testMounts)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) != 2 || objects[0].GetKind() != "MutatingAdmissionPolicy" || objects[1].GetKind() != "MutatingAdmissionPolicyBinding" {
		t.Fatalf("got %v", objects)
	}
	if bound, _, _ := unstructured.NestedString(objects[1].Object, "spec", "policyName"); bound != objects[0].GetName() || bound != PolicyMounts {
		t.Errorf("the binding is of %q, the policy is %q", bound, objects[0].GetName())
	}
	// A policy on updates of Pods can wedge their status.
	rules, _, _ := unstructured.NestedSlice(objects[0].Object, "spec", "matchConstraints", "resourceRules")
	if len(rules) != 1 {
		t.Fatalf("rules: %v", rules)
	}
	if ops, _, _ := unstructured.NestedStringSlice(rules[0].(map[string]any), "operations"); len(ops) != 1 || ops[0] != "CREATE" {
		t.Errorf("operations: %v", ops)
	}
	if again, v, err := mountPolicy(testMounts); err != nil || v != version || len(again) != 2 {
		t.Errorf("the same mounts have version %s, then %s, %v", version, v, err)
	}
	other := []Mount{testMounts[0], {Folder: "orchestrator", Images: testMounts[1].Images, Path: "/app"}}
	if _, v, err := mountPolicy(other); err != nil || v == version {
		t.Errorf("other mounts have the same version, %v", err)
	}
}
