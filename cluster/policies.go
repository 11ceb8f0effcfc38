package cluster

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	sigsyaml "sigs.k8s.io/yaml"
)

// The admission policies' names in the API; loaded from files they end in .static.k8s.io.
const (
	PolicyPods      = "pods.dynsandbox.dev"
	PolicyEphemeral = "ephemeral-containers.dynsandbox.dev"
	PolicyDNS       = "dns.dynsandbox.dev"

	// staticSuffix is demanded of policies in files and refused for those created through the API.
	staticSuffix = ".static.k8s.io"
)

//go:embed manifests/*.yaml
var manifests embed.FS

// policies returns the admission policies and their bindings, each binding after its policy.
// suffix is appended to every name.
func policies(suffix string) ([]*unstructured.Unstructured, error) {
	files, err := fs.Glob(manifests, "manifests/*.yaml")
	if err != nil {
		return nil, err
	}
	var all []*unstructured.Unstructured
	for _, file := range files {
		b, err := manifests.ReadFile(file)
		if err != nil {
			return nil, err
		}
		docs := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), 4096)
		for {
			u := &unstructured.Unstructured{}
			if err := docs.Decode(u); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			if name, ok, _ := unstructured.NestedString(u.Object, "spec", "policyName"); ok {
				if err := unstructured.SetNestedField(u.Object, name+suffix, "spec", "policyName"); err != nil {
					return nil, err
				}
			}
			u.SetName(u.GetName() + suffix)
			all = append(all, u)
		}
	}
	return all, nil
}

// policyFile returns all policies as one file of YAML.
func policyFile(suffix string) ([]byte, error) {
	all, err := policies(suffix)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, u := range all {
		b, err := sigsyaml.Marshal(u.Object)
		if err != nil {
			return nil, fmt.Errorf("write policy %s: %w", u.GetName(), err)
		}
		out.WriteString("---\n")
		out.Write(b)
	}
	return out.Bytes(), nil
}

const admissionConfigFile = "admission.yaml"

// writeAdmission writes what the API server loads when it starts: its admission configuration, which names a
// folder of policies. dir is seen by the API server as seen.
func writeAdmission(dir, seen string) error {
	all, err := policyFile(staticSuffix)
	if err != nil {
		return err
	}
	// A file that isn't a policy keeps the API server from starting: begin with an empty folder.
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("clear admission policies: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "manifests"), 0o755); err != nil {
		return fmt.Errorf("create folder of admission policies: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "manifests", "policies.yaml"), all, 0o644); err != nil {
		return fmt.Errorf("write admission policies: %w", err)
	}
	config := "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\nplugins:\n" +
		"- name: MutatingAdmissionPolicy\n  configuration:\n" +
		"    apiVersion: apiserver.config.k8s.io/v1\n    kind: MutatingAdmissionPolicyConfiguration\n" +
		"    staticManifestsDir: " + seen + "/manifests\n"
	if err := os.WriteFile(filepath.Join(dir, admissionConfigFile), []byte(config), 0o644); err != nil {
		return fmt.Errorf("write admission configuration: %w", err)
	}
	return nil
}
