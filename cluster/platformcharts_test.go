package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Each service of the reference platform is probed, unless the values say that it has no /healthz, as those of the original.
func TestPlatformChartsProbes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "charts"), os.DirFS(filepath.Join("..", "platform", "charts"))); err != nil {
		t.Fatal(err)
	}
	probed := func() map[string]bool {
		t.Helper()
		r, err := RenderWorkspace(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]bool{}
		for _, o := range r.Objects {
			if o.GetKind() != "Deployment" {
				continue
			}
			containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			out[o.GetName()] = containers[0].(map[string]any)["readinessProbe"] != nil
		}
		return out
	}
	for name, is := range probed() {
		if !is {
			t.Errorf("%s is not probed", name)
		}
	}
	for chart, key := range map[string]string{
		"agents": "readinessProbe", "thirdparty": "readinessProbe", "api-gateway": "readinessProbe", "orchestrator": "  orchestrator",
	} {
		file := filepath.Join(dir, "charts", chart, "values.yaml")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		off := regexp.MustCompile(`(?m)^`+key+`: true$`).ReplaceAll(b, []byte(key+": false"))
		if err := os.WriteFile(file, off, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got := probed()
	if len(got) != 6 {
		t.Errorf("%d Deployments: %v", len(got), got)
	}
	for name, is := range got {
		if want := name == "policy-enforcer"; is != want { // has a switch of its own
			t.Errorf("%s is probed: %v, want %v", name, is, want)
		}
	}
}

// The original's programs end at once if OC_AGENT_HOST is empty, whatever else tells where spans go.
func TestPlatformChartsTraceHost(t *testing.T) {
	t.Parallel()
	r, err := RenderWorkspace(filepath.Join("..", "platform"), nil)
	if err != nil {
		t.Fatal(err)
	}
	containers := 0
	for _, o := range r.Objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		for _, c := range list {
			containers++
			c := c.(map[string]any)
			env, _ := c["env"].([]any)
			if !slices.ContainsFunc(env, func(e any) bool {
				v, _ := e.(map[string]any)
				return v["name"] == "OC_AGENT_HOST" && v["value"] != nil && v["value"] != ""
			}) {
				t.Errorf("container %s of %s has no OC_AGENT_HOST", c["name"], o.ID())
			}
		}
	}
	if containers != 12 {
		t.Errorf("%d containers", containers)
	}
}

// Each container is told where its spans go, and of which namespace they are; without an endpoint it is told neither.
func TestPlatformChartsSpans(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://elsewhere:4317", ""} {
		r, err := RenderWorkspace(filepath.Join("..", "platform"), map[string]any{"otlpEndpoint": endpoint})
		if err != nil {
			t.Fatal(err)
		}
		containers := 0
		for _, o := range r.Objects {
			if o.GetKind() != "Deployment" {
				continue
			}
			list, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			for _, c := range list {
				containers++
				var got []string
				env, _ := c.(map[string]any)["env"].([]any)
				for _, e := range env {
					v, _ := e.(map[string]any)
					if name, _ := v["name"].(string); strings.HasPrefix(name, "OTEL_") {
						got = append(got, fmt.Sprintf("%s=%v", name, v["value"]))
					}
				}
				want := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_RESOURCE_ATTRIBUTES=service.namespace=" + o.GetNamespace()}
				if endpoint == "" {
					want = nil
				}
				if !slices.Equal(got, want) {
					t.Errorf("with the endpoint %q a container of %s has %q, want %q", endpoint, o.ID(), got, want)
				}
			}
		}
		if containers != 12 {
			t.Errorf("%d containers", containers)
		}
	}
}
