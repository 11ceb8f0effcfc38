package cluster

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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

// platformContainer is one of the containers of the platform's Deployments.
type platformContainer struct {
	name, of, namespace string
	env                 map[string]any // values by name
}

func platformContainers(t *testing.T, values map[string]any) (out []platformContainer) {
	t.Helper()
	r, err := RenderWorkspace(filepath.Join("..", "platform"), values)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range r.Objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		list, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		for _, item := range list {
			container := item.(map[string]any)
			c := platformContainer{of: o.ID(), namespace: o.GetNamespace(), env: map[string]any{}}
			c.name, _ = container["name"].(string)
			variables, _ := container["env"].([]any)
			for _, v := range variables {
				v, _ := v.(map[string]any)
				name, _ := v["name"].(string)
				c.env[name] = v["value"]
			}
			out = append(out, c)
		}
	}
	if len(out) != 12 {
		t.Errorf("%d containers", len(out))
	}
	return out
}

// The original's programs end at once if OC_AGENT_HOST is empty, whatever else tells where spans go.
func TestPlatformChartsTraceHost(t *testing.T) {
	t.Parallel()
	for _, c := range platformContainers(t, nil) {
		if host, _ := c.env["OC_AGENT_HOST"].(string); host == "" {
			t.Errorf("container %s of %s has no OC_AGENT_HOST", c.name, c.of)
		}
	}
}

// Each container is told where its spans go, and of which namespace they are; without an endpoint it is told neither.
func TestPlatformChartsSpans(t *testing.T) {
	t.Parallel()
	for _, endpoint := range []string{"http://elsewhere:4317", ""} {
		for _, c := range platformContainers(t, map[string]any{"otlpEndpoint": endpoint}) {
			want := map[string]any{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_RESOURCE_ATTRIBUTES": "service.namespace=" + c.namespace}
			if endpoint == "" {
				want = map[string]any{}
			}
			got := map[string]any{}
			for name, value := range c.env {
				if strings.HasPrefix(name, "OTEL_") {
					got[name] = value
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("with the endpoint %q container %s of %s has %q, want %q", endpoint, c.name, c.of, got, want)
			}
		}
	}
}
