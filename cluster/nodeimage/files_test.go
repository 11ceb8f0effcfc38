package nodeimage

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// podSpec is what containerd gives Pods: its own default, kind's hook, and no limits.
func TestPodSpec(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"no hooks":    {`{"process":{"rlimits":[1],"cwd":"/"}}`, `{"hooks":{"createContainer":[{"path":"/kind/bin/mount-product-files.sh"}]},"process":{"cwd":"/"}}`},
		"other hooks": {`{"hooks":{"createContainer":[{"path":"/x"}],"poststop":[]}}`, `{"hooks":{"createContainer":[{"path":"/x"},{"path":"/kind/bin/mount-product-files.sh"}],"poststop":[]}}`},
	} {
		out, err := podSpec([]byte(tc.in))
		var got bytes.Buffer
		if err == nil {
			err = json.Compact(&got, out)
		}
		if err != nil || got.String() != tc.want {
			t.Errorf("%s: got %s, %v", name, got.String(), err)
		}
	}
	if _, err := podSpec([]byte("no JSON")); err == nil {
		t.Error("took what is no JSON")
	}
}

func manifest(t *testing.T, name string) []map[string]any {
	t.Helper()
	text, err := files.ReadFile("files/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var objects []map[string]any
	for _, doc := range strings.Split(string(text), "\n---\n") {
		var o map[string]any
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if o["kind"] == nil || o["apiVersion"] == nil {
			t.Errorf("%s: an object without kind", name)
		}
		objects = append(objects, o)
	}
	return objects
}

// The provisioner gives its helper Pods an account by a name that it has compiled in: without it no volume is made,
// and only an event on the claim says so.
func TestStorageAccount(t *testing.T) {
	t.Parallel()
	const account = "local-path-provisioner-service-account"
	var accounts, used []string
	for _, o := range manifest(t, "default-storage.yaml") {
		meta := o["metadata"].(map[string]any)
		switch o["kind"] {
		case "ServiceAccount":
			accounts = append(accounts, meta["name"].(string))
		case "RoleBinding", "ClusterRoleBinding":
			used = append(used, o["subjects"].([]any)[0].(map[string]any)["name"].(string))
		case "Deployment":
			pod := o["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
			used = append(used, pod["serviceAccountName"].(string))
		}
	}
	if !slices.Equal(accounts, []string{account}) || !slices.Equal(used, []string{account, account, account}) {
		t.Errorf("accounts %q, used %q; want %q everywhere", accounts, used, account)
	}
}

func TestConfigurationFiles(t *testing.T) {
	t.Parallel()
	manifest(t, "default-cni.yaml")
	text, err := files.ReadFile("files/cni.conflist")
	if err != nil {
		t.Fatal(err)
	}
	var network struct {
		Plugins []struct{ Type string }
	}
	if err := json.Unmarshal(text, &network); err != nil {
		t.Fatalf("cni.conflist: %v", err)
	}
	for _, p := range network.Plugins {
		if !slices.ContainsFunc(programs, func(have struct {
			part, file string
			to         string
			links      []string
		}) bool {
			return have.to == "opt/cni/bin/"+p.Type
		}) {
			t.Errorf("cni.conflist uses %s, which isn't in the image", p.Type)
		}
	}
}

// Every program that goes into the image comes from a part that exists.
func TestProgramsHaveParts(t *testing.T) {
	t.Parallel()
	for _, p := range programs {
		if !slices.ContainsFunc(allParts(), func(have part) bool { return have.name == p.part }) {
			t.Errorf("%s: no part %s", p.to, p.part)
		}
	}
}
