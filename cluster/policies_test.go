package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// A file policy without the suffix keeps the API server from starting; one in the API with it is refused; and a
// binding that names another policy does nothing, silently.
func TestPolicyNames(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", staticSuffix} {
		all, err := policies(suffix)
		if err != nil {
			t.Fatal(err)
		}
		policy := map[string]bool{}
		for _, u := range all {
			if strings.HasSuffix(u.GetName(), staticSuffix) != (suffix != "") {
				t.Errorf("suffix %q: name %s", suffix, u.GetName())
			}
			switch u.GetKind() {
			case "MutatingAdmissionPolicy":
				policy[u.GetName()] = true
			case "MutatingAdmissionPolicyBinding":
				name, _, _ := unstructured.NestedString(u.Object, "spec", "policyName")
				if !policy[name] {
					t.Errorf("binding %s: no policy %q before it", u.GetName(), name)
				}
			default:
				t.Errorf("unexpected kind %s", u.GetKind())
			}
		}
		for _, want := range []string{PolicyPods, PolicyEphemeral, PolicyDNS} {
			if !policy[want+suffix] {
				t.Errorf("suffix %q: policy %s is missing", suffix, want)
			}
		}
	}
}

func TestWriteAdmission(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "admission")
	stale := filepath.Join(dir, "manifests", "stale.yaml")
	if err := os.MkdirAll(filepath.Dir(stale), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stale, []byte("kind: Nonsense"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeAdmission(dir, "/in/node"); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(dir, admissionConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(config), "staticManifestsDir: /in/node/manifests\n") {
		t.Errorf("the configuration names another folder:\n%s", config)
	}
	left, err := filepath.Glob(filepath.Join(dir, "manifests", "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("in the policies' folder: %v, %v; want one file, none of an earlier version", left, err)
	}
}

func TestCheckProbe(t *testing.T) {
	t.Parallel()
	if err := checkProbe(probe.DeepCopy()); err == nil {
		t.Error("an untouched probe passes")
	}
	good := probe.DeepCopy()
	delete(good.Labels, "app")
	good.Spec.Containers[0].ImagePullPolicy = corev1.PullIfNotPresent
	if err := checkProbe(good); err == nil || !strings.Contains(err.Error(), "init") {
		t.Errorf("init container not rewritten: got %v", err)
	}
	good.Spec.InitContainers[0].ImagePullPolicy = corev1.PullIfNotPresent
	if err := checkProbe(good); err == nil || !strings.Contains(err.Error(), "volume") {
		t.Errorf("image volume not rewritten: got %v", err)
	}
	good.Spec.Volumes[0].Image.PullPolicy = corev1.PullIfNotPresent
	if err := checkProbe(good); err != nil {
		t.Errorf("all done: %v", err)
	}
}
